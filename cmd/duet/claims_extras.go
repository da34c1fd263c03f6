package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/duet-bench/duet/internal/claims"
	"github.com/duet-bench/duet/internal/plan"
	"github.com/duet-bench/duet/internal/result"
	"github.com/duet-bench/duet/internal/source"
)

// parkedGoroutines is how many are made to see what one takes: some 30 MB for a moment.
const parkedGoroutines = 10_000

// extras counts what the run's commit holds, and measures a goroutine. A commit that is not in the repository has no lines,
// and the page says why.
func (j *claimsJob) extras(ctx context.Context, run result.Run) (claims.Extras, error) {
	e := claims.Extras{Goroutine: parked(parkedGoroutines)}
	dir, err := os.MkdirTemp("", "duet-claims-")
	if err != nil {
		return e, err
	}
	defer os.RemoveAll(dir)
	tree := filepath.Join(dir, "head")
	if err := j.exportHead(ctx, run.Plan.Head, tree); err != nil {
		if ctx.Err() != nil {
			return e, err
		}
		e.Why = err.Error()
		return e, nil
	}
	e.Lines, e.Hello = map[string]claims.Lines{}, map[string]int{}
	for v, s := range run.Plan.Services {
		if v.Side != plan.Head {
			continue
		}
		beside := path.Dir(s.Dir)
		var l claims.Lines
		for _, count := range []struct {
			dir string
			to  *int
		}{{s.Dir, &l.Own}, {path.Join(beside, "core"), &l.Shared}, {path.Join(beside, "socket"), &l.Shared}} {
			n, err := linesBelow(filepath.Join(tree, filepath.FromSlash(count.dir)))
			if err != nil {
				return e, err
			}
			*count.to += n
		}
		e.Lines[v.Service] = l
		hello, err := linesBelow(filepath.Join(tree, filepath.FromSlash(path.Join(beside, "hello", v.Service))))
		if err != nil {
			return e, err
		}
		if hello > 0 {
			e.Hello[v.Service] = hello
		}
	}
	return e, nil
}

// exportHead writes the files of the commit that was measured, or of the working tree.
func (j *claimsJob) exportHead(ctx context.Context, head plan.Commit, to string) error {
	o := source.Options{Repo: j.repo, Head: head.SHA, Base: "none", Exclude: j.exclude()}
	if head.Worktree {
		o.Head, o.Worktree = "", true
	}
	src, err := source.Resolve(ctx, o)
	if err != nil {
		return err
	}
	_, err = src.Export(ctx, plan.Head, to)
	return errors.Join(err, src.Close())
}

// linesBelow are the lines of code below a folder; none where there is no such folder.
func linesBelow(dir string) (lines int, err error) {
	err = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(file)
		lines += claims.CountLines(filepath.ToSlash(file), string(text))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	return lines, err
}

// parked is what n goroutines take that wait on a channel and do nothing else: the growth of the memory that stacks use.
func parked(n int) claims.Goroutine {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	release := make(chan struct{})
	var started, ended sync.WaitGroup
	started.Add(n)
	for range n {
		ended.Go(func() {
			started.Done()
			<-release
		})
	}
	started.Wait()
	runtime.ReadMemStats(&after)
	close(release)
	ended.Wait()
	stack := float64(after.StackInuse-before.StackInuse) / float64(n)
	return claims.Goroutine{
		Count: n, Go: runtime.Version(), Stack: stack,
		Whole: stack + float64(after.TotalAlloc-before.TotalAlloc)/float64(n),
	}
}
