package github

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Bounds of an artifact. What a pull request's run uploads is a stranger's data.
const (
	// RunFile is the one file of the artifact that is published.
	RunFile = "run.json"
	// MaxRun bounds the artifact and the file in it, packed and unpacked, in bytes.
	MaxRun = 8 << 20
)

// ErrArtifact is wrapped by every refusal of an artifact.
var ErrArtifact = errors.New("the artifact is not a run's")

// RunIn takes run.json out of an artifact, in memory: nothing is ever written to a disk. The artifact must hold exactly
// one regular file of that very name, and what counts is how many bytes come out, not how many it says.
func RunIn(artifact []byte) ([]byte, error) {
	if len(artifact) > MaxRun {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", ErrArtifact, len(artifact), MaxRun)
	}
	archive, err := zip.NewReader(bytes.NewReader(artifact), int64(len(artifact)))
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, fmt.Errorf("%w: reading it as a zip: %v", ErrArtifact, err)
	}
	if n := len(archive.File); n != 1 {
		return nil, fmt.Errorf("%w: it holds %d files, expected %s alone", ErrArtifact, n, RunFile)
	}
	if name := archive.File[0].Name; name != RunFile {
		return nil, fmt.Errorf("%w: it holds %.80q, expected %s", ErrArtifact, name, RunFile)
	}
	return unpacked(archive.File[0])
}

// unpacked is a regular file of an artifact, in memory.
func unpacked(file *zip.File) ([]byte, error) {
	switch {
	case !file.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %.80s is %v, expected a regular file", ErrArtifact, file.Name, file.Mode())
	case file.Flags&1 != 0:
		return nil, fmt.Errorf("%w: %.80s is encrypted", ErrArtifact, file.Name)
	}
	content, err := file.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: opening %.80s: %v", ErrArtifact, file.Name, err)
	}
	defer content.Close()
	text, err := io.ReadAll(io.LimitReader(content, MaxRun+1))
	switch {
	case len(text) > MaxRun:
		return nil, fmt.Errorf("%w: %.80s has more than %d bytes", ErrArtifact, file.Name, MaxRun)
	case err != nil:
		return nil, fmt.Errorf("%w: unpacking %.80s: %v", ErrArtifact, file.Name, err)
	}
	return text, nil
}
