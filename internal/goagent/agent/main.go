package main

import (
	"io"
	"os"
)

// main is a program that has nothing but the agent in it: it lives until its standard input ends.
func main() { _, _ = io.Copy(io.Discard, os.Stdin) }
