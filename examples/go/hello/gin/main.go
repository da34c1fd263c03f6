// Hello is the shortest useful service with Gin; `duet claims` counts its lines.
package main

import (
	"log"
	"net/http"

	"github.com/gin-gonic/gin"
)

func main() {
	r := gin.Default()
	r.GET("/", func(c *gin.Context) {
		c.String(http.StatusOK, "Hello, World!")
	})
	log.Fatal(r.Run("127.0.0.1:8080"))
}
