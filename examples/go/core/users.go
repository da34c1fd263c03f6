//go:build !lean

package core

import (
	"math"
	"strconv"
)

// User is a row of the users table.
type User struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
	City  string `json:"city"`
}

// UserPage is a part of all users, by id.
type UserPage struct {
	Users []User `json:"users"`
	Next  *int64 `json:"next"` // the page goes on after this id; nil on the last one
}

// UserOrders is a user with the newest orders.
type UserOrders struct {
	User   UserName    `json:"user"`
	Orders []UserOrder `json:"orders"`
}

// UserName is as much of a user as a list of orders tells.
type UserName struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
}

// UserOrder is an order in a user's list.
type UserOrder struct {
	ID         int64         `json:"id"`
	TotalCents int64         `json:"total_cents"`
	Items      []ProductItem `json:"items"`
}

// ProductItem is a line of an order that calls its product by name.
type ProductItem struct {
	Product    string `json:"product"`
	Quantity   int    `json:"quantity"`
	PriceCents int64  `json:"price_cents"`
}

// page is which users are asked for.
type page struct {
	after int64
	limit int
}

// parsePage reads a page's two parameters, each as all the values that the query gives it.
func parsePage(after, limit []string) (page, *Error) {
	p := page{after: 0, limit: 20}
	if len(after) > 0 {
		n, ok := wholeNumber(after[0], 0, math.MaxInt64)
		if !ok || len(after) > 1 {
			return page{}, invalidPage("after", "expected a whole number from 0")
		}
		p.after = n
	}
	if len(limit) > 0 {
		n, ok := wholeNumber(limit[0], 1, 100)
		if !ok || len(limit) > 1 {
			return page{}, invalidPage("limit", "expected a whole number from 1 to 100")
		}
		p.limit = int(n)
	}
	return p, nil
}

// next is where the page after these users starts, nil where they do not fill one.
func (p page) next(users []User) *int64 {
	if len(users) < p.limit {
		return nil
	}
	return &users[len(users)-1].ID
}

// parseID reads an id in a path. What is no id has nothing behind it.
func parseID(text string) (int64, *Error) {
	id, ok := wholeNumber(text, 1, math.MaxInt64)
	if !ok {
		return 0, NotFound()
	}
	return id, nil
}

// wholeNumber reads a number written plainly, in digits without a sign or a leading zero, from low to high.
func wholeNumber(text string, low, high int64) (int64, bool) {
	if text == "" || len(text) > 1 && text[0] == '0' {
		return 0, false
	}
	for i := range len(text) {
		if text[i] < '0' || '9' < text[i] {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil && low <= n && n <= high
}
