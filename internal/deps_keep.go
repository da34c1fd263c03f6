//go:build keepdeps

package internal
