package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/duet-bench/duet/internal/result"
)

// parcelLimit is how many bytes of raw profiles come out of a container; the bundled pair's have 2 MiB.
const parcelLimit = 64 << 20

// parcel is what the Duet in a container hands over: run.json and raw profiles, as a tar archive on its stdout.
type parcel struct {
	run      []byte
	profiles map[string][]byte
	bytes    int
}

// keep takes a raw profile (harness.Options.Keep).
func (p *parcel) keep(name string, pprof []byte) error {
	if p.bytes+len(pprof) > parcelLimit {
		return fmt.Errorf("at most %d bytes of profiles come out of a container", parcelLimit)
	}
	if p.profiles == nil {
		p.profiles = map[string][]byte{}
	}
	p.profiles[name], p.bytes = pprof, p.bytes+len(pprof)
	return nil
}

func (p *parcel) write(w io.Writer) error {
	archive := tar.NewWriter(w)
	put := func(name string, text []byte) error {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return err
		}
		_, err := archive.Write(text)
		return err
	}
	if err := put(runFile, p.run); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.profiles)) {
		if err := put(path.Join(result.ProfileFolder, name), p.profiles[name]); err != nil {
			return err
		}
	}
	return archive.Close()
}

// readParcel reads what came out of a container. Names are data: a profile's has no folder.
func readParcel(text []byte) (p parcel, err error) {
	archive := tar.NewReader(bytes.NewReader(text))
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return p, err
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			return p, err
		}
		folder, name := path.Split(header.Name)
		switch {
		case header.Typeflag != tar.TypeReg:
			return p, fmt.Errorf("%q is not a regular file", header.Name)
		case header.Name == runFile && p.run == nil:
			p.run = content
		case folder == result.ProfileFolder+"/" && name != "" && name != "." && name != "..":
			if err := p.keep(name, content); err != nil {
				return p, err
			}
		default:
			return p, fmt.Errorf("unexpected file %q", header.Name)
		}
	}
	if p.run == nil {
		return p, fmt.Errorf("no %s in it", runFile)
	}
	return p, nil
}
