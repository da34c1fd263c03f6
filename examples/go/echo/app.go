package main

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/duet-bench/duet/examples/go/core"
	"github.com/duet-bench/duet/examples/go/socket"
)

// newEcho routes the contract.
func newEcho(app *core.App) *echo.Echo {
	e := echo.NewWithConfig(echo.Config{
		Router: echo.NewRouter(echo.RouterConfig{
			AutoHandleHEAD: true, MethodNotAllowedHandler: methodNotAllowed, OptionsMethodHandler: methodNotAllowed,
		}),
		HTTPErrorHandler: refuse,
	})
	e.Use(wholePath)
	post := func(path string, h echo.HandlerFunc) {
		e.POST(path, h, requireJSON, middleware.BodyLimit(core.BodyLimit))
		e.GET(path, methodNotAllowed) // or it would be a short code
	}

	s := service{app}
	e.GET("/health", s.health)
	post("/pipeline", s.pipeline)
	post("/links", s.createLink)
	e.GET("/links/:code", s.linkStats)
	e.GET("/:code", s.follow)
	e.GET("/users", s.users)
	e.GET("/users/:id", s.user)
	e.GET("/users/:id/orders", s.userOrders)
	post("/orders", s.placeOrder)
	e.GET("/orders/:id", s.order)
	post("/compute", s.compute)
	e.GET("/ws", s.echo)
	e.HEAD("/ws", methodNotAllowed)
	return e
}

// wholePath refuses what Echo takes for a fit because a last parameter may hold slashes: no path of the contract does.
func wholePath(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c *echo.Context) error {
		if strings.Count(c.Path(), "/") != strings.Count(c.Request().URL.Path, "/") {
			return core.NotFound()
		}
		return next(c)
	}
}

func requireJSON(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c *echo.Context) error {
		if !core.IsJSON(c.Request().Header.Get(echo.HeaderContentType)) {
			return core.NotJSON()
		}
		return next(c)
	}
}

// service is the handlers. A refusal is an error, which Echo hands to refuse.
type service struct{ app *core.App }

func (s service) health(c *echo.Context) error {
	return c.JSON(http.StatusOK, core.Healthy())
}

func (s service) pipeline(c *echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	batch, refused := core.Process(body)
	return reply(c, http.StatusOK, batch, refused)
}

func (s service) createLink(c *echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	link, refused := s.app.CreateLink(c.Request().Context(), body)
	if refused == nil {
		c.Response().Header().Set(echo.HeaderLocation, "/"+link.Code)
	}
	return reply(c, http.StatusCreated, link, refused)
}

func (s service) linkStats(c *echo.Context) error {
	link, refused := s.app.LinkStats(c.Request().Context(), c.Param("code"))
	return reply(c, http.StatusOK, link, refused)
}

func (s service) follow(c *echo.Context) error {
	url, refused := s.app.Follow(c.Request().Context(), c.Param("code"))
	if refused != nil {
		return refused
	}
	return c.Redirect(http.StatusFound, url)
}

func (s service) users(c *echo.Context) error {
	query := c.QueryParams()
	page, refused := s.app.Users(c.Request().Context(), query["after"], query["limit"])
	return reply(c, http.StatusOK, page, refused)
}

func (s service) user(c *echo.Context) error {
	user, refused := s.app.User(c.Request().Context(), c.Param("id"))
	return reply(c, http.StatusOK, user, refused)
}

func (s service) userOrders(c *echo.Context) error {
	orders, refused := s.app.UserOrders(c.Request().Context(), c.Param("id"))
	return reply(c, http.StatusOK, orders, refused)
}

func (s service) placeOrder(c *echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	placed, refused := s.app.PlaceOrder(c.Request().Context(), body)
	if refused == nil {
		c.Response().Header().Set(echo.HeaderLocation, "/orders/"+strconv.FormatInt(placed.ID, 10))
	}
	return reply(c, http.StatusCreated, placed, refused)
}

func (s service) order(c *echo.Context) error {
	order, refused := s.app.Order(c.Request().Context(), c.Param("id"))
	return reply(c, http.StatusOK, order, refused)
}

func (s service) compute(c *echo.Context) error {
	body, err := io.ReadAll(c.Request().Body)
	if err != nil {
		return err
	}
	computed, refused := core.Compute(body)
	return reply(c, http.StatusOK, computed, refused)
}

func (s service) echo(c *echo.Context) error {
	if refused := socket.Echo(c.Response(), c.Request(), s.app); refused != nil {
		return refused
	}
	return nil
}

func methodNotAllowed(c *echo.Context) error {
	return core.MethodNotAllowedAt(c.Request().URL.Path)
}

// reply writes v, or returns the refusal that came in its place.
func reply(c *echo.Context, status int, v any, refused *core.Error) error {
	if refused != nil {
		return refused
	}
	return c.JSON(status, v)
}

// refuse writes what a handler returned, or the contract's words for Echo's own errors.
func refuse(c *echo.Context, err error) {
	var refused *core.Error
	var status echo.HTTPStatusCoder
	switch {
	case errors.As(err, &refused):
	case !errors.As(err, &status): // of reading a body
		refused = core.BodyError(err)
	case status.StatusCode() == http.StatusNotFound:
		refused = core.NotFound()
	case status.StatusCode() == http.StatusRequestEntityTooLarge:
		refused = core.TooLarge()
	default:
		refused = core.BadBody()
	}
	for name, value := range refused.Header {
		c.Response().Header().Set(name, value)
	}
	// The client may be gone; there is nobody left to tell.
	_ = c.JSON(refused.Status, core.ErrorBody{Error: refused})
}
