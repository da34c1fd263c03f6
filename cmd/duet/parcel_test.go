package main

import (
	"archive/tar"
	"bytes"
	"testing"
)

func TestParcel(t *testing.T) {
	in := parcel{run: []byte("{}")}
	if err := in.keep("go@head.health.cpu.pb.gz", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := in.keep("too.large", make([]byte, parcelLimit)); err == nil {
		t.Error("there is no limit")
	}
	var text bytes.Buffer
	if err := in.write(&text); err != nil {
		t.Fatal(err)
	}
	out, err := readParcel(text.Bytes())
	if err != nil || string(out.run) != "{}" || string(out.profiles["go@head.health.cpu.pb.gz"]) != "x" || len(out.profiles) != 1 {
		t.Errorf("got %+v, %v", out, err)
	}
}

// What comes out of a container was written beside foreign code: no name of it leads anywhere else.
func TestHostileParcels(t *testing.T) {
	for name, headers := range map[string][]tar.Header{
		"nothing":    {},
		"twice":      {{Name: runFile, Typeflag: tar.TypeReg}, {Name: runFile, Typeflag: tar.TypeReg}},
		"up":         {{Name: runFile, Typeflag: tar.TypeReg}, {Name: "profiles/../x", Typeflag: tar.TypeReg}},
		"dots":       {{Name: runFile, Typeflag: tar.TypeReg}, {Name: "profiles/..", Typeflag: tar.TypeReg}},
		"deeper":     {{Name: runFile, Typeflag: tar.TypeReg}, {Name: "profiles/a/b", Typeflag: tar.TypeReg}},
		"absolute":   {{Name: "/" + runFile, Typeflag: tar.TypeReg}},
		"link":       {{Name: runFile, Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}},
		"other file": {{Name: runFile, Typeflag: tar.TypeReg}, {Name: "report.html", Typeflag: tar.TypeReg}},
	} {
		var text bytes.Buffer
		archive := tar.NewWriter(&text)
		for _, h := range headers {
			if err := archive.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
		}
		if err := archive.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := readParcel(text.Bytes()); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
