//go:build !lean

package core

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWholeNumbers(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "1": 1, "10": 10, "9223372036854775807": 1<<63 - 1,
		"": -1, "00": -1, "01": -1, "-1": -1, "+1": -1, "1.0": -1, "1e2": -1, " 1": -1, "1_000": -1, "9223372036854775808": -1, "١": -1,
	} {
		got, ok := wholeNumber(text, 0, 1<<63-1)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("%q: got %d, %v", text, got, ok)
		}
	}
}

func TestPages(t *testing.T) {
	for _, tt := range []struct {
		after, limit string // values, between commas
		want         string
	}{
		{"", "", "after 0, limit 20"},
		{"7", "100", "after 7, limit 100"},
		{"x", "x", "after"},
		{"1,1", "", "after"},
		{"", "0", "limit"},
		{"", "101", "limit"},
		{"", "5,5", "limit"},
	} {
		values := func(text string) []string {
			if text == "" {
				return nil
			}
			return strings.Split(text, ",")
		}
		p, err := parsePage(values(tt.after), values(tt.limit))
		got := fmt.Sprintf("after %d, limit %d", p.after, p.limit)
		if err != nil {
			got = err.Field
		}
		if got != tt.want {
			t.Errorf("%+v: got %s", tt, got)
		}
	}
}

func TestThePageAfter(t *testing.T) {
	users := []User{{ID: 3}, {ID: 8}}
	if next := (page{limit: 2}).next(users); next == nil || *next != 8 {
		t.Errorf("a full page: got %v, want 8", next)
	}
	if next := (page{limit: 3}).next(users); next != nil {
		t.Errorf("the last page: got %d, want none", *next)
	}
	if next := (page{limit: 1}).next(nil); next != nil {
		t.Errorf("an empty page: got %d, want none", *next)
	}
}

func TestOrders(t *testing.T) {
	got, err := parseOrder([]byte(`{"user_id":7,"items":[{"product_id":1,"quantity":2},{"quantity":1000,"product_id":9223372036854775807}]}`))
	if want := (NewOrder{UserID: 7, Items: []NewItem{{1, 2}, {1<<63 - 1, 1000}}}); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, %v", got, err)
	}
}

// FuzzOrder holds parseOrder to its word: what it accepts keeps to the limits, and what it refuses it refuses with a
// status of the contract.
func FuzzOrder(f *testing.F) {
	f.Add([]byte(`{"user_id":7,"items":[{"product_id":1,"quantity":2}]}`))
	f.Add([]byte(`{"user_id":7,"items":[{"product_id":"x"},null,5,[1,2]]}`))
	f.Add([]byte(`{"user_id":1e3,"items":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		order, err := parseOrder(body)
		if err != nil {
			if err.Status != http.StatusBadRequest && err.Status != http.StatusUnprocessableEntity {
				t.Fatalf("got status %d", err.Status)
			}
			return
		}
		if order.check() != nil {
			t.Fatalf("accepted %+v", order)
		}
	})
}

func TestCompute(t *testing.T) {
	// The first number of SplitMix64 from 0 is known; the rest are of a third implementation, as in compute.yaml.
	for body, want := range map[string]string{
		`{"seed":0,"parts":1,"iterations":1}`:          "[e220a8397b1dcdaf] e220a8397b1dcdaf",
		`{"seed":42,"parts":3,"iterations":1000}`:      "[25d464e9ee31fd40 f2c22667f7bb114d 77fd945bf90980ba] 1fa67949e561dd32",
		`{"seed":4294967295,"parts":2,"iterations":1}`: "[beeb67eaf1fc5e61 c3fc3482a90cd79a] 39130eefa3e5f154",
		`{"seed":7,"parts":1,"iterations":100000}`:     "[5b57eb96ce62229a] 5b57eb96ce62229a",
	} {
		got, err := Compute([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		if text := fmt.Sprint(got.Parts, " ", got.Total); text != want {
			t.Errorf("%s: got %s, want %s", body, text, want)
		}
	}
}

func TestRefusedComputations(t *testing.T) {
	for body, want := range map[string]string{
		`{"seed":-0,"parts":1,"iterations":1}`:         "seed",
		`{"parts":0,"iterations":0}`:                   "seed",
		`[1,1,1]`:                                      "seed",
		`{"seed":0,"parts":65,"iterations":0}`:         "parts",
		`{"seed":0,"parts":64,"iterations":1000001}`:   "iterations",
		`{"seed":0,"parts":64,"iterations":312501}`:    "iterations",
		`{"seed":0,"parts":"1","iterations":1}`:        "parts",
		`{"seed":0,"parts":1,"iterations":1.0}`:        "iterations",
		`{"seed":4294967296,"parts":1,"iterations":1}`: "seed",
	} {
		if _, err := Compute([]byte(body)); code(err) != "invalid_compute" || err.Field != want {
			t.Errorf("%s: got %v", body, err)
		}
	}
	if _, err := Compute([]byte(`{"seed":0,`)); code(err) != "bad_json" {
		t.Errorf("got %v", err)
	}
}

func TestNothingWithoutADatabase(t *testing.T) {
	app, ctx := InMemory(NewLinks(1)), context.Background()
	_, user := app.User(ctx, "x")
	_, users := app.Users(ctx, []string{"x"}, nil)
	_, orders := app.UserOrders(ctx, "1")
	_, order := app.Order(ctx, "1")
	_, placed := app.PlaceOrder(ctx, []byte("{"))
	for i, err := range []*Error{user, users, orders, order, placed} {
		if code(err) != "no_database" {
			t.Errorf("%d: got %v", i, err)
		}
	}
}

func TestAllow(t *testing.T) {
	for path, want := range map[string]string{
		"/orders": "POST", "/compute": "POST", "/links": "POST", "/pipeline": "POST", "/ws": "GET",
		"/orders/1": "GET,HEAD", "/users": "GET,HEAD", "/abc123": "GET,HEAD",
	} {
		if got := MethodNotAllowedAt(path).Header["Allow"]; got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// A database that is not there is tried for connectTime, and its password is in no message.
func TestConnectGivesUp(t *testing.T) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := connect(ctx, "postgres://duet:hunter2@/db?host="+t.TempDir(), 2)
	if err == nil || !strings.HasPrefix(err.Error(), "connecting to the database: ") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took < 300*time.Millisecond {
		t.Errorf("gave up after %v", took)
	}
}
