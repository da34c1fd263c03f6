package main

import (
	"errors"
	"strconv"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/recover"

	"github.com/duet-bench/duet/examples/go/core"
)

// newFiber routes the contract.
func newFiber(app *core.App) *fiber.App {
	f := fiber.New(fiber.Config{
		StrictRouting: true, CaseSensitive: true,
		ErrorHandler: refuse,
		// Twice the limit: past Fiber's own it hangs up on a client that still writes, who then never hears of the 413.
		BodyLimit: 2 * core.BodyLimit,
	})
	f.Use(recover.New()) // a panic ends one request, as in net/http
	post := func(path string, h fiber.Handler) {
		f.Post(path, requireJSON, limitBody, h)
		f.Get(path, methodNotAllowed) // or it would be a short code
	}

	s := service{app}
	f.Get("/health", s.health)
	post("/pipeline", s.pipeline)
	post("/links", s.createLink)
	f.Get("/links/:code", s.linkStats)
	f.Get("/users", s.users)
	f.Get("/users/:id", s.user)
	f.Get("/users/:id/orders", s.userOrders)
	post("/orders", s.placeOrder)
	f.Get("/orders/:id", s.order)
	post("/compute", s.compute)
	f.Head("/ws", methodNotAllowed)
	f.Get("/ws", requireUpgrade, echo(app))
	f.Get("/:code", s.follow) // the last one: Fiber takes the first that fits
	return f
}

func requireJSON(c fiber.Ctx) error {
	if !core.IsJSON(c.Get(fiber.HeaderContentType)) {
		return core.NotJSON()
	}
	return c.Next()
}

func limitBody(c fiber.Ctx) error {
	if len(c.BodyRaw()) > core.BodyLimit {
		return core.TooLarge()
	}
	return c.Next()
}

// service is the handlers. A refusal is an error, which Fiber hands to refuse.
type service struct{ app *core.App }

func (s service) health(c fiber.Ctx) error {
	return c.JSON(core.Healthy())
}

func (s service) pipeline(c fiber.Ctx) error {
	batch, err := core.Process(c.BodyRaw())
	return reply(c, fiber.StatusOK, batch, err)
}

func (s service) createLink(c fiber.Ctx) error {
	link, err := s.app.CreateLink(c.Context(), c.BodyRaw())
	if err == nil {
		c.Location("/" + link.Code)
	}
	return reply(c, fiber.StatusCreated, link, err)
}

func (s service) linkStats(c fiber.Ctx) error {
	link, err := s.app.LinkStats(c.Context(), c.Params("code"))
	return reply(c, fiber.StatusOK, link, err)
}

func (s service) follow(c fiber.Ctx) error {
	url, err := s.app.Follow(c.Context(), c.Params("code"))
	if err != nil {
		return err
	}
	return c.Redirect().Status(fiber.StatusFound).To(url)
}

func (s service) users(c fiber.Ctx) error {
	page, err := s.app.Users(c.Context(), values(c, "after"), values(c, "limit"))
	return reply(c, fiber.StatusOK, page, err)
}

// values are all that the query gives a parameter.
func values(c fiber.Ctx, name string) []string {
	var all []string
	for _, value := range c.RequestCtx().QueryArgs().PeekMulti(name) {
		all = append(all, string(value))
	}
	return all
}

func (s service) user(c fiber.Ctx) error {
	user, err := s.app.User(c.Context(), c.Params("id"))
	return reply(c, fiber.StatusOK, user, err)
}

func (s service) userOrders(c fiber.Ctx) error {
	orders, err := s.app.UserOrders(c.Context(), c.Params("id"))
	return reply(c, fiber.StatusOK, orders, err)
}

func (s service) placeOrder(c fiber.Ctx) error {
	placed, err := s.app.PlaceOrder(c.Context(), c.BodyRaw())
	if err == nil {
		c.Location("/orders/" + strconv.FormatInt(placed.ID, 10))
	}
	return reply(c, fiber.StatusCreated, placed, err)
}

func (s service) order(c fiber.Ctx) error {
	order, err := s.app.Order(c.Context(), c.Params("id"))
	return reply(c, fiber.StatusOK, order, err)
}

func (s service) compute(c fiber.Ctx) error {
	computed, err := core.Compute(c.BodyRaw())
	return reply(c, fiber.StatusOK, computed, err)
}

func methodNotAllowed(c fiber.Ctx) error {
	return core.MethodNotAllowedAt(c.Path())
}

// reply writes v, or returns the refusal that came in its place.
func reply(c fiber.Ctx, status int, v any, err *core.Error) error {
	if err != nil {
		return err
	}
	return c.Status(status).JSON(v)
}

// refuse writes what a handler returned, or the contract's words for Fiber's own errors.
func refuse(c fiber.Ctx, err error) error {
	var refused *core.Error
	var own *fiber.Error
	switch {
	case errors.As(err, &refused):
	case !errors.As(err, &own): // a panic
		return fiber.DefaultErrorHandler(c, err)
	case own.Code == fiber.StatusNotFound:
		refused = core.NotFound()
	case own.Code == fiber.StatusMethodNotAllowed:
		refused = core.MethodNotAllowedAt(c.Path())
	case own.Code == fiber.StatusRequestEntityTooLarge:
		refused = core.TooLarge()
	case own.Code == fiber.StatusUpgradeRequired:
		refused = core.UpgradeRequired()
	default:
		refused = core.BadBody()
	}
	for name, value := range refused.Header {
		c.Set(name, value)
	}
	return c.Status(refused.Status).JSON(core.ErrorBody{Error: refused})
}
