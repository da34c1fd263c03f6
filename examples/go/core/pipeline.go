package core

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Record is one order line as the client sends it. Unknown fields are ignored.
type Record struct {
	ID       uint64   `json:"id"`
	Name     string   `json:"name"`
	Email    string   `json:"email"`
	Amount   uint64   `json:"amount"` // minor units (cents) for each
	Quantity float64  `json:"quantity"`
	Currency string   `json:"currency"`
	Tags     []string `json:"tags"`
	Note     string   `json:"note"`
}

// Line is a Record validated and transformed.
type Line struct {
	ID          uint64   `json:"id"`
	Name        string   `json:"name"`
	Slug        string   `json:"slug"`
	Email       string   `json:"email"`
	Domain      string   `json:"domain"`
	Quantity    float64  `json:"quantity"`
	Total       uint64   `json:"total"` // minor units, rounded half away from zero
	Currency    string   `json:"currency"`
	Tags        []string `json:"tags"` // lower case, sorted, each once
	Note        string   `json:"note,omitempty"`
	Fingerprint string   `json:"fingerprint"`
}

// Batch is the answer to a pipeline request.
type Batch struct {
	Count  int               `json:"count"`
	Totals map[string]uint64 `json:"totals"` // by currency
	Lines  []Line            `json:"records"`
}

// Process parses, validates and transforms a batch {"records": [...]}.
// The error names the first bad field of the first bad record, whether its type or its value is wrong.
func Process(body []byte) (*Batch, *Error) {
	records, err := parse(body)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 || len(records) > RecordLimit {
		return nil, invalidBatch()
	}
	batch := &Batch{Count: len(records), Totals: map[string]uint64{}, Lines: make([]Line, 0, len(records))}
	for i := range records {
		line, field := transform(&records[i])
		if field != "" {
			return nil, invalidRecord(i, field)
		}
		batch.Totals[line.Currency] += line.Total
		batch.Lines = append(batch.Lines, line)
	}
	return batch, nil
}

func parse(body []byte) ([]Record, *Error) {
	// encoding/json would replace bad UTF-8 silently.
	if !utf8.Valid(body) {
		return nil, badJSON()
	}
	var doc struct {
		Records []Record `json:"records"`
	}
	err := json.Unmarshal(body, &doc)
	if err == nil {
		return doc.Records, nil
	}
	var wrongType *json.UnmarshalTypeError
	if !errors.As(err, &wrongType) {
		return nil, badJSON()
	}
	return nil, diagnose(body)
}

// diagnose finds the first bad field of a batch in which some value has the wrong type. It reads the
// document once more, field by field, which only a refused request pays for.
func diagnose(body []byte) *Error {
	var doc map[string]json.RawMessage
	var raw []json.RawMessage
	if json.Unmarshal(body, &doc) != nil || json.Unmarshal(doc["records"], &raw) != nil || len(raw) == 0 || len(raw) > RecordLimit {
		return invalidBatch()
	}
	for i := range raw {
		var fields map[string]json.RawMessage
		if json.Unmarshal(raw[i], &fields) != nil {
			return invalidRecord(i, "")
		}
		var r Record
		for _, f := range r.fields() {
			if value, ok := fields[f.name]; ok && json.Unmarshal(value, f.into) != nil {
				return invalidRecord(i, f.name)
			}
			if !f.valid() {
				return invalidRecord(i, f.name)
			}
		}
	}
	return invalidBatch()
}

type field struct {
	name  string
	into  any
	valid func() bool
}

// fields lists the fields of r in the order in which they are checked.
func (r *Record) fields() []field {
	return []field{
		{name: "id", into: &r.ID, valid: func() bool { return validID(r.ID) }},
		{name: "name", into: &r.Name, valid: func() bool { return validName(squeeze(r.Name)) }},
		{name: "email", into: &r.Email, valid: func() bool { _, ok := domain(r.Email); return ok }},
		{name: "amount", into: &r.Amount, valid: func() bool { return validAmount(r.Amount) }},
		{name: "quantity", into: &r.Quantity, valid: func() bool { return validQuantity(r.Quantity) }},
		{name: "currency", into: &r.Currency, valid: func() bool { return validCurrency(r.Currency) }},
		{name: "tags", into: &r.Tags, valid: func() bool { _, ok := tags(r.Tags); return ok }},
		{name: "note", into: &r.Note, valid: func() bool { return validNote(r.Note) }},
	}
}

// transform returns the line of a record, or the name of its first bad field.
func transform(r *Record) (line Line, badField string) {
	if !validID(r.ID) {
		return Line{}, "id"
	}
	name := squeeze(r.Name)
	if !validName(name) {
		return Line{}, "name"
	}
	host, ok := domain(r.Email)
	if !ok {
		return Line{}, "email"
	}
	if !validAmount(r.Amount) {
		return Line{}, "amount"
	}
	if !validQuantity(r.Quantity) {
		return Line{}, "quantity"
	}
	if !validCurrency(r.Currency) {
		return Line{}, "currency"
	}
	tidy, ok := tags(r.Tags)
	if !ok {
		return Line{}, "tags"
	}
	if !validNote(r.Note) {
		return Line{}, "note"
	}
	line = Line{
		ID:       r.ID,
		Name:     name,
		Slug:     slug(name),
		Email:    lowerASCII(r.Email),
		Domain:   lowerASCII(host),
		Quantity: r.Quantity,
		Total:    uint64(math.Round(float64(r.Amount) * r.Quantity)),
		Currency: r.Currency,
		Tags:     tidy,
		Note:     r.Note,
	}
	line.Fingerprint = fingerprint(&line)
	return line, ""
}

func validID(id uint64) bool { return 1 <= id && id <= 1<<53-1 }
func validName(squeezed string) bool {
	return squeezed != "" && utf8.RuneCountInString(squeezed) <= 100
}
func validAmount(amount uint64) bool { return amount <= 1_000_000_000 }
func validQuantity(n float64) bool   { return 0 < n && n <= 1_000_000 }
func validNote(note string) bool     { return utf8.RuneCountInString(note) <= 500 }
func validCurrency(code string) bool {
	return len(code) == 3 && strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == ""
}

// domain returns what follows the one "@" of a plausible address: local part, "@", a host with a dot inside.
func domain(email string) (string, bool) {
	local, host, ok := strings.Cut(email, "@")
	ok = ok && local != "" && len(email) <= 254 && isPrintable(email) && !strings.Contains(host, "@") &&
		strings.Contains(host, ".") && !strings.HasPrefix(host, ".") && !strings.HasSuffix(host, ".")
	return host, ok
}

// tags trims and lowers at most 16 tags, sorts them and keeps each once.
func tags(in []string) ([]string, bool) {
	if len(in) > 16 {
		return nil, false
	}
	out := make([]string, 0, len(in))
	for _, tag := range in {
		tag = lowerASCII(squeeze(tag))
		if !isTag(tag) {
			return nil, false
		}
		out = append(out, tag)
	}
	slices.Sort(out)
	return slices.Compact(out), true
}

// fingerprint is FNV-1a (64 bits) over what makes a line the same line: id, email, total, currency, tags.
func fingerprint(l *Line) string {
	h := fnv(fnvOffset, fmt.Sprintf("%d\n%s\n%d\n%s", l.ID, l.Email, l.Total, l.Currency))
	for _, tag := range l.Tags {
		h = fnv(fnv(h, "\n"), tag)
	}
	return fmt.Sprintf("%016x", h)
}

const (
	fnvOffset uint64 = 0xcbf29ce484222325
	fnvPrime  uint64 = 0x100000001b3
)

func fnv(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * fnvPrime
	}
	return h
}

func invalidRecord(i int, name string) *Error {
	return &Error{Status: http.StatusUnprocessableEntity, Code: "invalid_record", Message: rule(name), Record: &i, Field: name}
}

// rule says what a field must be, whatever is wrong with it.
func rule(name string) string {
	switch name {
	case "id":
		return "id must be an integer from 1 to 9007199254740991"
	case "name":
		return "name must be a string of 1 to 100 characters"
	case "email":
		return "email must be an address of at most 254 ASCII characters"
	case "amount":
		return "amount must be an integer from 0 to 1000000000"
	case "quantity":
		return "quantity must be a number over 0 and up to 1000000"
	case "currency":
		return "currency must be three capital letters"
	case "tags":
		return "tags must be at most 16 strings of 1 to 32 letters, digits, - or _"
	case "note":
		return "note must be a string of at most 500 characters"
	default:
		return "a record must be an object"
	}
}
