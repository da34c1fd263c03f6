package github

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
)

// entry is one file of a made-up archive.
type entry struct {
	name string
	mode fs.FileMode
	text string
}

func zipped(t *testing.T, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err == nil {
			_, err = f.Write([]byte(e.text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// bomb is a gibibyte of zeros under the right name: about a megabyte packed.
func bomb(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(zip.Deflate, func(out io.Writer) (io.WriteCloser, error) { return flate.NewWriter(out, flate.BestSpeed) })
	f, err := w.Create(RunFile)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		if _, err := f.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lying says in its central directory that a file has few bytes.
func lying(t *testing.T) []byte {
	t.Helper()
	text := zipped(t, entry{RunFile, 0o644, strings.Repeat("x", MaxRun+1)})
	at := bytes.LastIndex(text, []byte("PK\x01\x02"))
	binary.LittleEndian.PutUint32(text[at+24:], 10)
	return text
}

func encrypted(t *testing.T) []byte {
	t.Helper()
	text := zipped(t, entry{RunFile, 0o644, "{}"})
	at := bytes.LastIndex(text, []byte("PK\x01\x02"))
	text[at+8] |= 1
	return text
}

// SECURITY.md, W4: every archive that is not exactly one run.json is refused, in memory, and unpacked no further
// than its bound: what is allocated says so, and holds however slow the machine.
func TestHostileArtifacts(t *testing.T) {
	good := entry{RunFile, 0o644, `{"schema":"duet.run/1"}`}
	if text, err := RunIn(zipped(t, good)); err != nil || string(text) != good.text {
		t.Errorf("a sound artifact: got %q, %v", text, err)
	}
	for name, artifact := range map[string][]byte{
		"empty":            nil,
		"no zip":           []byte("hello"),
		"nothing in it":    zipped(t),
		"climbs out":       zipped(t, entry{"../../run.json", 0o644, "{}"}),
		"absolute":         zipped(t, entry{"/run.json", 0o644, "{}"}),
		"backslash":        zipped(t, entry{`..\run.json`, 0o644, "{}"}),
		"in a folder":      zipped(t, entry{"a/run.json", 0o644, "{}"}),
		"a symbolic link":  zipped(t, entry{RunFile, 0o777 | fs.ModeSymlink, "/etc/passwd"}),
		"a folder":         zipped(t, entry{RunFile, 0o755 | fs.ModeDir, ""}),
		"twice":            zipped(t, good, good),
		"another beside":   zipped(t, good, entry{"x", 0o644, "x"}),
		"another case":     zipped(t, entry{"Run.json", 0o644, "{}"}),
		"nested":           zipped(t, entry{"run.zip", 0o644, string(zipped(t, good))}),
		"encrypted":        encrypted(t),
		"lies of its size": lying(t),
		"too large":        zipped(t, entry{RunFile, 0o644, strings.Repeat("x", MaxRun+1)}),
		"a bomb":           bomb(t),
		"cut":              zipped(t, good)[:60],
		"too large packed": append(make([]byte, MaxRun), zipped(t, good)...),
	} {
		runtime.GC()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		text, err := RunIn(artifact)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrArtifact) || text != nil {
			t.Errorf("%s: got %d bytes, %v, want a refusal", name, len(text), err)
		}
		if grew := after.TotalAlloc - before.TotalAlloc; grew > 64<<20 {
			t.Errorf("%s: allocated %d bytes", name, grew)
		}
	}
}

func FuzzRunIn(f *testing.F) {
	f.Add([]byte("PK\x03\x04"))
	f.Fuzz(func(t *testing.T, artifact []byte) {
		text, err := RunIn(artifact)
		if err != nil && !errors.Is(err, ErrArtifact) || len(text) > MaxRun {
			t.Errorf("got %d bytes, %v", len(text), err)
		}
	})
}
