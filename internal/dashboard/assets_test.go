package dashboard

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
)

// What is committed is what npm has as uplot 1.6.32, and says its version and licence.
func TestVendored(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"uplot.min.js":  "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
		"uplot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
		"uplot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
	} {
		text, err := assets.ReadFile("assets/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		if got := hex.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: sha256 %s, want %s", name, got, want)
		}
	}
	code, _ := assets.ReadFile("assets/uplot.min.js")
	licence, _ := assets.ReadFile("assets/uplot.LICENSE")
	if !strings.Contains(string(code[:80]), "v1.6.32") || !strings.Contains(string(licence), "The MIT License") {
		t.Error("uplot does not say that it is 1.6.32 under the MIT License")
	}
}

// Words can be read in both themes: a contrast of 4.5 (WCAG 2.2, 1.4.3); lines and signs of 3 (1.4.11).
func TestContrast(t *testing.T) {
	t.Parallel()
	text, err := assets.ReadFile("assets/dashboard.css")
	if err != nil {
		t.Fatal(err)
	}
	themes := 0
	for _, block := range regexp.MustCompile(`(?s)--paper: .*?color-scheme: (light|dark);`).FindAllStringSubmatch(string(text), -1) {
		themes++
		colour := map[string]float64{}
		for _, c := range regexp.MustCompile(`--([a-z0-9-]+): #([0-9a-f]{3,6});`).FindAllStringSubmatch(block[0], -1) {
			colour[c[1]] = luminance(t, c[2])
		}
		check := func(front, back string, want float64) {
			light, dark := max(colour[front], colour[back]), min(colour[front], colour[back])
			if got := (light + 0.05) / (dark + 0.05); got < want {
				t.Errorf("%s: --%s on --%s has a contrast of %.2f, want %.1f", block[1], front, back, got, want)
			}
		}
		for _, front := range []string{"ink", "quiet", "link", "bad", "good", "doubt"} {
			check(front, "paper", 4.5)
			check(front, "raised", 4.5)
		}
		check("bad", "bad-paper", 4.5)
		check("doubt", "doubt-paper", 4.5)
		check("ink", "doubt-paper", 4.5)
		for i := range 8 {
			check(fmt.Sprintf("line-%d", i), "paper", 3)
		}
	}
	if themes != 3 {
		t.Errorf("%d themes looked at, want light, dark by system and dark by choice", themes)
	}
}

// luminance is the relative luminance of a colour in hexadecimal (WCAG 2.2).
func luminance(t *testing.T, hexadecimal string) float64 {
	if len(hexadecimal) == 3 {
		hexadecimal = strings.Repeat(hexadecimal[:1], 2) + strings.Repeat(hexadecimal[1:2], 2) + strings.Repeat(hexadecimal[2:], 2)
	}
	rgb, err := hex.DecodeString(hexadecimal)
	if err != nil || len(rgb) != 3 {
		t.Fatalf("colour %q: %v", hexadecimal, err)
	}
	sum := 0.0
	for i, share := range []float64{0.2126, 0.7152, 0.0722} {
		c := float64(rgb[i]) / 255
		if c <= 0.04045 {
			sum += share * c / 12.92
			continue
		}
		sum += share * math.Pow((c+0.055)/1.055, 2.4)
	}
	return sum
}

// The page's own code makes no HTML, no code and no request from a text.
func TestCodeIsInert(t *testing.T) {
	t.Parallel()
	forbidden := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|srcdoc|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|\bimport\b`)
	entries, err := assets.ReadDir("assets")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".js") || strings.HasPrefix(e.Name(), "uplot") {
			continue
		}
		n++
		text, err := assets.ReadFile("assets/" + e.Name())
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			code, _, _ := strings.Cut(line, "//")
			if found := forbidden.FindString(code); found != "" {
				t.Errorf("%s:%d uses %s", e.Name(), i+1, found)
			}
		}
	}
	if n < 8 {
		t.Errorf("only %d scripts looked at", n)
	}
}
