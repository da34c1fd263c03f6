//go:build !lean

package core

import (
	"encoding/json"
	"errors"
	"math"
	"unicode/utf8"
)

// NewOrder is what a client asks for in POST /orders. Unknown fields are ignored.
type NewOrder struct {
	UserID int64     `json:"user_id"`
	Items  []NewItem `json:"items"`
}

// NewItem is so many of one product.
type NewItem struct {
	ProductID int64 `json:"product_id"`
	Quantity  int64 `json:"quantity"`
}

// PlacedOrder is the answer to POST /orders.
type PlacedOrder struct {
	ID         int64 `json:"id"`
	UserID     int64 `json:"user_id"`
	TotalCents int64 `json:"total_cents"`
	Items      int   `json:"items"`
}

// Order is an order as it was placed.
type Order struct {
	ID         int64       `json:"id"`
	UserID     int64       `json:"user_id"`
	TotalCents int64       `json:"total_cents"`
	Items      []OrderItem `json:"items"`
}

// OrderItem is a line of an Order, with the price it was sold at.
type OrderItem struct {
	ProductID  int64 `json:"product_id"`
	Quantity   int   `json:"quantity"`
	PriceCents int64 `json:"price_cents"`
}

const (
	itemLimit     = 50
	quantityLimit = 1000
)

// parseOrder reads and checks an order. The error names the first bad thing, whether its type or its value is wrong.
func parseOrder(body []byte) (NewOrder, *Error) {
	if !utf8.Valid(body) {
		return NewOrder{}, badJSON()
	}
	var order NewOrder
	err := json.Unmarshal(body, &order)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType):
		order = salvage(body)
	case err != nil:
		return NewOrder{}, badJSON()
	}
	if refused := order.check(); refused != nil {
		return NewOrder{}, refused
	}
	return order, nil
}

// salvage reads an order in which some value has the wrong type, field by field. What cannot be read becomes the zero
// value, which check refuses wherever it stands.
func salvage(body []byte) NewOrder {
	var doc struct {
		UserID json.RawMessage   `json:"user_id"`
		Items  []json.RawMessage `json:"items"`
	}
	_ = json.Unmarshal(body, &doc)
	order := NewOrder{UserID: wholeJSON(doc.UserID)}
	for _, raw := range doc.Items {
		var item struct {
			ProductID json.RawMessage `json:"product_id"`
			Quantity  json.RawMessage `json:"quantity"`
		}
		_ = json.Unmarshal(raw, &item)
		order.Items = append(order.Items, NewItem{ProductID: wholeJSON(item.ProductID), Quantity: wholeJSON(item.Quantity)})
	}
	return order
}

// wholeJSON is the positive whole number that raw spells, or 0.
func wholeJSON(raw json.RawMessage) int64 {
	n, ok := wholeNumber(string(raw), 1, math.MaxInt64)
	if !ok {
		return 0
	}
	return n
}

func (o NewOrder) check() *Error {
	if o.UserID < 1 {
		return invalidOrder("user_id", "expected a whole number from 1")
	}
	if len(o.Items) < 1 || itemLimit < len(o.Items) {
		return invalidOrder("items", "expected 1 to 50 items")
	}
	for i, item := range o.Items {
		var err *Error
		switch {
		case item.ProductID < 1:
			err = invalidOrder("items.product_id", "expected a whole number from 1")
		case item.Quantity < 1 || quantityLimit < item.Quantity:
			err = invalidOrder("items.quantity", "expected a whole number from 1 to 1000")
		default:
			continue
		}
		err.Record = &i
		return err
	}
	return nil
}
