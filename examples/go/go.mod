module github.com/duet-bench/duet/examples/go

go 1.24
