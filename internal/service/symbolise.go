package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/google/pprof/profile"

	"github.com/duet-bench/duet/internal/symbols"
)

// Limits of a raw profile: a minute at 1,000 Hz on two cores has some 10⁵ samples, and far fewer stacks.
const (
	rawLimit      = 64 << 20 // bytes
	stacksLimit   = 200_000
	placesLimit   = 400_000 // addresses on stacks
	framesAtMost  = 128     // of calls inlined into one another at one address
	unknownSymbol = "[unknown]"
)

// symboliser names the functions of one service's profiles. Files stay open between windows, since reading their lines
// takes seconds; they are closed by the next process or as garbage.
type symboliser struct {
	binary string
	files  map[string]*symbols.File // nil: not to be read, or not readable
}

func newSymboliser(binary string) *symboliser {
	return &symboliser{binary: binary, files: map[string]*symbols.File{}}
}

func (y *symboliser) close() {
	if y == nil {
		return
	}
	for _, f := range y.files {
		if f != nil {
			f.Close()
		}
	}
	clear(y.files)
}

// systemFolders hold libraries that no service can have put there.
var systemFolders = [...]string{"/usr/lib/", "/usr/lib64/", "/lib/", "/lib64/", "/usr/local/lib/"}

// file is a mapped file by the name that the profile gives it: of the service's own folder, which is Duet's, or of the
// system. A profile comes from foreign code and may name any file; others are not opened.
func (y *symboliser) file(path string) *symbols.File {
	if f, known := y.files[path]; known {
		return f
	}
	trusted := strings.HasPrefix(path, filepath.Dir(y.binary)+"/")
	for _, folder := range systemFolders {
		trusted = trusted || strings.HasPrefix(path, folder)
	}
	var f *symbols.File
	if trusted && filepath.Clean(path) == path {
		f, _ = symbols.Open(path) // its functions go by the file's name then
	}
	y.files[path] = f
	return f
}

// name gives every place of a profile its functions, inlined ones included, and notes what it could not find out.
func (y *symboliser) name(ctx context.Context, p *profile.Profile) (notes []string) {
	known := map[profile.Function]*profile.Function{}
	p.Function = nil
	for _, place := range p.Location {
		place.Line = nil
		for _, frame := range y.frames(ctx, place) {
			f := profile.Function{Name: frame.Name, SystemName: frame.Linked, Filename: frame.File, StartLine: int64(frame.Start)}
			if known[f] == nil {
				added := f
				added.ID = uint64(len(p.Function) + 1)
				known[f] = &added
				p.Function = append(p.Function, &added)
			}
			place.Line = append(place.Line, profile.Line{Function: known[f], Line: int64(frame.Line)})
		}
	}
	for _, m := range p.Mapping {
		m.File = filepath.Base(m.File)
		m.HasFunctions, m.HasFilenames, m.HasLineNumbers, m.HasInlineFrames = true, true, true, true
	}
	return y.notes()
}

// frames are the functions at one place of a profile, never none.
func (y *symboliser) frames(ctx context.Context, place *profile.Location) []symbols.Frame {
	m := place.Mapping
	if m == nil || m.File == "" {
		return []symbols.Frame{{Name: unknownSymbol}}
	}
	if f := y.file(m.File); f != nil {
		if address, ok := f.Address(place.Address - m.Start + m.Offset); ok {
			if frames := f.Frames(ctx, address); len(frames) > 0 {
				return frames[:min(len(frames), framesAtMost)]
			}
		}
	}
	return []symbols.Frame{{Name: "[" + strings.Trim(filepath.Base(m.File), "[]") + "]"}}
}

// notes say what the service's own binary lacks.
func (y *symboliser) notes() []string {
	f := y.file(y.binary)
	switch {
	case f == nil:
		return []string{"the names of its functions could not be read"}
	case !f.HasTable() && !f.HasLines():
		return []string{"it is stripped: its functions have no names"}
	case !f.HasLines():
		return []string{"it has no line tables: functions that were inlined go by the name of their caller"}
	}
	return nil
}

// errNothingSampled is a profile in which nothing was seen.
var errNothingSampled = errors.New("its profile is empty")

// checkRaw bounds a profile that foreign code wrote.
func checkRaw(p *profile.Profile) error {
	places := 0
	for _, s := range p.Sample {
		places += len(s.Location)
	}
	if len(p.Sample) > stacksLimit || len(p.Location) > placesLimit || places > 64*placesLimit {
		return fmt.Errorf("%d stacks of %d places: expected at most %d of %d", len(p.Sample), len(p.Location), stacksLimit, placesLimit)
	}
	for _, s := range p.Sample {
		for _, v := range s.Value {
			if v < 0 {
				return fmt.Errorf("a negative count: %d", v)
			}
		}
	}
	return nil
}

// parseRaw reads what gperftools wrote: its own format for CPU, text for the heap. Any other format that pprof's library
// reads is refused, compressed ones among them.
func parseRaw(raw []byte) (p *profile.Profile, err error) {
	defer func() {
		if r := recover(); r != nil {
			p, err = nil, fmt.Errorf("malformed: %v", r)
		}
	}()
	cpu := bytes.HasPrefix(raw, []byte{0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0})
	if !cpu && !bytes.HasPrefix(raw, []byte("heap profile:")) {
		return nil, errors.New("not a profile of gperftools'")
	}
	p, err = profile.ParseData(raw)
	if err == nil {
		err = checkRaw(p)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// encoded is a named profile as pprof reads it, without the profiler's own frames.
func encoded(p *profile.Profile) ([]byte, error) {
	if err := p.RemoveUninteresting(); err != nil {
		return nil, err
	}
	p = p.Compact()
	if err := p.CheckValid(); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err := p.Write(&out)
	return out.Bytes(), err
}
