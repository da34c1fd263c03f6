package main

import (
	"net/http"
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/duet-bench/duet/examples/go/core"
	"github.com/duet-bench/duet/examples/go/socket"
)

// newEngine routes the contract.
func newEngine(app *core.App) *gin.Engine {
	gin.SetMode(gin.ReleaseMode) // routes are not printed
	r := gin.New()
	r.HandleMethodNotAllowed = true
	r.RedirectTrailingSlash = false
	r.NoRoute(func(c *gin.Context) { refuse(c, core.NotFound()) })
	r.NoMethod(methodNotAllowed)

	get := func(path string, h gin.HandlerFunc) {
		r.Match([]string{http.MethodGet, http.MethodHead}, path, h)
	}
	bodies := r.Group("/", requireJSON, limitBody)
	post := func(path string, h gin.HandlerFunc) {
		bodies.POST(path, h)
		get(path, methodNotAllowed) // or it would be a short code
	}

	s := service{app}
	get("/health", s.health)
	post("/pipeline", s.pipeline)
	post("/links", s.createLink)
	get("/links/:code", s.linkStats)
	get("/:code", s.follow)
	get("/users", s.users)
	get("/users/:id", s.user)
	get("/users/:id/orders", s.userOrders)
	post("/orders", s.placeOrder)
	get("/orders/:id", s.order)
	post("/compute", s.compute)
	r.GET("/ws", s.echo)
	r.HEAD("/ws", methodNotAllowed)
	return r
}

func requireJSON(c *gin.Context) {
	if !core.IsJSON(c.GetHeader("Content-Type")) {
		refuse(c, core.NotJSON())
	}
}

func limitBody(c *gin.Context) {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, core.BodyLimit)
}

// service is the handlers.
type service struct{ app *core.App }

func (s service) health(c *gin.Context) {
	c.PureJSON(http.StatusOK, core.Healthy())
}

func (s service) pipeline(c *gin.Context) {
	body, ok := read(c)
	if !ok {
		return
	}
	batch, err := core.Process(body)
	reply(c, http.StatusOK, batch, err)
}

func (s service) createLink(c *gin.Context) {
	body, ok := read(c)
	if !ok {
		return
	}
	link, err := s.app.CreateLink(c.Request.Context(), body)
	if err == nil {
		c.Header("Location", "/"+link.Code)
	}
	reply(c, http.StatusCreated, link, err)
}

func (s service) linkStats(c *gin.Context) {
	link, err := s.app.LinkStats(c.Request.Context(), c.Param("code"))
	reply(c, http.StatusOK, link, err)
}

func (s service) follow(c *gin.Context) {
	url, err := s.app.Follow(c.Request.Context(), c.Param("code"))
	if err != nil {
		refuse(c, err)
		return
	}
	// Not c.Redirect: it adds an HTML body that the contract does not have.
	c.Header("Location", url)
	c.Status(http.StatusFound)
}

func (s service) users(c *gin.Context) {
	page, err := s.app.Users(c.Request.Context(), c.QueryArray("after"), c.QueryArray("limit"))
	reply(c, http.StatusOK, page, err)
}

func (s service) user(c *gin.Context) {
	user, err := s.app.User(c.Request.Context(), c.Param("id"))
	reply(c, http.StatusOK, user, err)
}

func (s service) userOrders(c *gin.Context) {
	orders, err := s.app.UserOrders(c.Request.Context(), c.Param("id"))
	reply(c, http.StatusOK, orders, err)
}

func (s service) placeOrder(c *gin.Context) {
	body, ok := read(c)
	if !ok {
		return
	}
	placed, err := s.app.PlaceOrder(c.Request.Context(), body)
	if err == nil {
		c.Header("Location", "/orders/"+strconv.FormatInt(placed.ID, 10))
	}
	reply(c, http.StatusCreated, placed, err)
}

func (s service) order(c *gin.Context) {
	order, err := s.app.Order(c.Request.Context(), c.Param("id"))
	reply(c, http.StatusOK, order, err)
}

func (s service) compute(c *gin.Context) {
	body, ok := read(c)
	if !ok {
		return
	}
	computed, err := core.Compute(body)
	reply(c, http.StatusOK, computed, err)
}

func (s service) echo(c *gin.Context) {
	if err := socket.Echo(c.Writer, c.Request, s.app); err != nil {
		refuse(c, err)
	}
}

func methodNotAllowed(c *gin.Context) {
	refuse(c, core.MethodNotAllowedAt(c.Request.URL.Path))
}

// read reads a body that requireJSON and limitBody have passed; what it cannot read it refuses.
func read(c *gin.Context) (body []byte, ok bool) {
	body, err := c.GetRawData()
	if err != nil {
		refuse(c, core.BodyError(err))
	}
	return body, err == nil
}

// reply writes v, or the refusal that came in its place.
func reply(c *gin.Context, status int, v any, err *core.Error) {
	if err != nil {
		refuse(c, err)
		return
	}
	c.PureJSON(status, v)
}

func refuse(c *gin.Context, err *core.Error) {
	for name, value := range err.Header {
		c.Header(name, value)
	}
	c.AbortWithStatusPureJSON(err.Status, core.ErrorBody{Error: err})
}
