package core

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// Link is a shortened URL as clients see it.
type Link struct {
	Code string `json:"code"`
	URL  string `json:"url"`
	Hits uint64 `json:"hits"` // redirects so far
}

// Links keeps the shortened URLs of one process in memory. It is safe for concurrent use.
type Links struct {
	mu     sync.RWMutex
	byCode map[string]*entry
	limit  int
}

type entry struct {
	url  string
	hits atomic.Uint64
}

// NewLinks returns an empty store for at most limit links.
func NewLinks(limit int) *Links {
	return &Links{byCode: map[string]*entry{}, limit: limit}
}

// Create shortens the URL of the document {"url": "…"}. Each call makes a new link.
func (l *Links) Create(body []byte) (Link, *Error) {
	url, err := parseLink(body)
	if err != nil {
		return Link{}, err
	}
	return l.add(context.Background(), url)
}

// parseLink reads the document {"url": "…"}.
func parseLink(body []byte) (url string, _ *Error) {
	if !utf8.Valid(body) {
		return "", badJSON()
	}
	var doc struct {
		URL string `json:"url"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		var wrongType *json.UnmarshalTypeError
		if errors.As(err, &wrongType) {
			return "", invalidURL()
		}
		return "", badJSON()
	}
	if !validURL(doc.URL) {
		return "", invalidURL()
	}
	return doc.URL, nil
}

func (l *Links) add(_ context.Context, url string) (Link, *Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.byCode) >= l.limit {
		return Link{}, storeFull()
	}
	code := Code(uint64(len(l.byCode)))
	l.byCode[code] = &entry{url: url}
	return Link{Code: code, URL: url}, nil
}

// Follow returns where code leads and counts the hit.
func (l *Links) Follow(code string) (url string, err *Error) {
	e := l.lookup(code)
	if e == nil {
		return "", NotFound()
	}
	e.hits.Add(1)
	return e.url, nil
}

// Stats returns the link of code.
func (l *Links) Stats(code string) (Link, *Error) {
	e := l.lookup(code)
	if e == nil {
		return Link{}, NotFound()
	}
	return Link{Code: code, URL: e.url, Hits: e.hits.Load()}, nil
}

func (l *Links) follow(_ context.Context, code string) (url string, err *Error) {
	return l.Follow(code)
}

func (l *Links) stats(_ context.Context, code string) (Link, *Error) { return l.Stats(code) }

func (l *Links) lookup(code string) *entry {
	if !isCode(code) {
		return nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.byCode[code]
}

// validURL holds a URL to http or https, a host, printable ASCII and 2048 characters. It is stricter and
// simpler than any parser, so that every service can state the same rule.
func validURL(url string) bool {
	rest, ok := strings.CutPrefix(url, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(url, "http://")
	}
	return ok && rest != "" && !strings.ContainsAny(rest[:1], "/?#") && len(url) <= 2048 && isPrintable(url)
}

const (
	codeLen  = 6
	codes    = 62 * 62 * 62 * 62 * 62 * 62 // 62^codeLen
	alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// Code is the n-th short code: n is sent through an affine permutation of 0…62^6-1, so that codes are
// distinct and equal in every service without looking consecutive. n must be below 62^6.
// The factor shares no divisor with 62^6 and is small enough that the product fits in 64 bits.
func Code(n uint64) string {
	const factor, shift = 268_435_399, 28_211_099_074
	x := (n*factor + shift) % codes
	var b [codeLen]byte
	for i := codeLen - 1; i >= 0; i-- {
		b[i] = alphabet[x%62]
		x /= 62
	}
	return string(b[:])
}
