package act

import (
	"archive/zip"
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// This test binary is also what runs under act in place of parts of GitHub's: bash with the environment that GitHub gives,
// actions/upload-artifact and actions/download-artifact.

// notOnGitHub are the variables that act sets for a composite action's run steps and GitHub does not.
func notOnGitHub(name string) bool {
	return strings.HasPrefix(name, "INPUT_") || strings.HasPrefix(name, "ACTIONS_")
}

// step is one run step, as it began.
type step struct {
	Action  string // whose it is, OWNER/NAME; empty: the workflow's
	Script  string
	Taken   []string          // names of what act had set and GitHub would not
	Env     map[string]string // without those
	Summary string            // the file for the step's summary
}

// bash notes a step and becomes the real bash, without what GitHub would not have set. It stays one process, as there.
func bash() error {
	dir := os.Getenv("STANDIN_DIR")
	s := step{Action: os.Getenv("GITHUB_ACTION_REPOSITORY"), Env: map[string]string{}}
	theirs := strings.HasPrefix(s.Action, "actions/") // those run on node, which has them
	var env []string
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if notOnGitHub(name) && !theirs {
			s.Taken = append(s.Taken, name)
			continue
		}
		if name == "PATH" {
			value = strings.TrimPrefix(value, filepath.Join(dir, "bin")+":")
		}
		if name != "GITHUB_STEP_SUMMARY" {
			s.Env[name] = value
			env = append(env, name+"="+value)
		}
	}
	if script, err := os.ReadFile(os.Args[len(os.Args)-1]); err == nil {
		s.Script = string(script)
	}
	for n := 1; ; n++ {
		f, err := os.OpenFile(filepath.Join(dir, "steps", fmt.Sprintf("%03d.json", n)), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		s.Summary = strings.TrimSuffix(f.Name(), ".json") + ".md" // GitHub has one for each step, act one for all
		if err := errors.Join(os.WriteFile(s.Summary, nil, 0o644), json.NewEncoder(f).Encode(s), f.Close()); err != nil {
			return err
		}
		break
	}
	env = append(env, "GITHUB_STEP_SUMMARY="+s.Summary)
	return syscall.Exec(os.Getenv("STANDIN_BASH"), append([]string{"bash"}, os.Args[1:]...), env)
}

// upload packs files as actions/upload-artifact v4 does and gives them to act's artifact server.
func upload() error {
	files, err := chosen(strings.Fields(os.Getenv("FILES")), os.Getenv("HIDDEN") == "true")
	if err != nil {
		return err
	}
	if len(files) == 0 {
		if os.Getenv("MISSING") == "error" {
			return errors.New("no files were found")
		}
		return nil
	}
	packed, err := pack(files)
	if err != nil {
		return err
	}
	run, err := runOf(os.Getenv("ACTIONS_RUNTIME_TOKEN"))
	if err != nil {
		return err
	}
	const service = "twirp/github.actions.results.api.v1.ArtifactService/"
	about := map[string]any{"workflow_run_backend_id": run, "workflow_job_run_backend_id": run, "name": os.Getenv("ARTIFACT"), "version": 4}
	var created struct{ SignedUploadURL string }
	if err := call("POST", os.Getenv("ACTIONS_RESULTS_URL")+service+"CreateArtifact", about, &created); err != nil {
		return err
	}
	for _, part := range []string{"block", "blocklist"} {
		request, err := http.NewRequest("PUT", created.SignedUploadURL+"&comp="+part, bytes.NewReader(packed))
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusCreated {
			return fmt.Errorf("uploading: %s", answer.Status)
		}
	}
	delete(about, "version")
	about["size"] = fmt.Sprint(len(packed))
	return call("POST", os.Getenv("ACTIONS_RESULTS_URL")+service+"FinalizeArtifact", about, nil)
}

// download unpacks the one artifact of a run that is named, or those whose names match, each into a folder of its own.
func download() error {
	run, err := runOf(os.Getenv("ACTIONS_RUNTIME_TOKEN"))
	if err != nil {
		return err
	}
	const service = "twirp/github.actions.results.api.v1.ArtifactService/"
	about := map[string]any{"workflow_run_backend_id": run, "workflow_job_run_backend_id": run}
	var found struct{ Artifacts []struct{ Name string } }
	if err := call("POST", os.Getenv("ACTIONS_RESULTS_URL")+service+"ListArtifacts", about, &found); err != nil {
		return err
	}
	name, into := os.Getenv("ARTIFACT"), os.Getenv("INTO")
	if name != "" && !slices.ContainsFunc(found.Artifacts, func(a struct{ Name string }) bool { return a.Name == name }) {
		return fmt.Errorf("the run has no artifact %s", name)
	}
	for _, artifact := range found.Artifacts {
		if name != "" && artifact.Name != name {
			continue
		}
		if ok, err := path.Match(cmp.Or(os.Getenv("PATTERN"), "*"), artifact.Name); err != nil || !ok {
			if err != nil {
				return err
			}
			continue
		}
		about["name"] = artifact.Name
		var signed struct{ SignedURL string }
		if err := call("POST", os.Getenv("ACTIONS_RESULTS_URL")+service+"GetSignedArtifactURL", about, &signed); err != nil {
			return err
		}
		answer, err := http.Get(signed.SignedURL)
		if err != nil {
			return err
		}
		to := into
		if name == "" {
			to = filepath.Join(into, artifact.Name)
		}
		packed, err := io.ReadAll(answer.Body)
		if err := errors.Join(err, answer.Body.Close(), unpack(packed, to)); err != nil {
			return fmt.Errorf("%s: %s: %w", artifact.Name, answer.Status, err)
		}
	}
	return nil
}

// unpack writes a zip's files below a folder.
func unpack(packed []byte, dir string) error {
	files, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return err
	}
	for _, f := range files.File {
		text, err := fs.ReadFile(files, f.Name)
		if err != nil {
			return err
		}
		to := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// chosen are the files below some paths, without those after a !. Like the real one it passes by whatever is hidden, a path
// that ends in a hidden folder too, unless told otherwise.
func chosen(paths []string, hidden bool) (files []string, err error) {
	for _, p := range paths {
		if strings.ContainsAny(p, "*?[") {
			return nil, fmt.Errorf("%s: the stand-in takes files and folders alone", p)
		}
		p, not := strings.CutPrefix(p, "!")
		p = filepath.Clean(p)
		if not {
			files = slices.DeleteFunc(files, func(f string) bool { return f == p || strings.HasPrefix(f, p+"/") })
			continue
		}
		err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return nil
			case err != nil:
				return err
			case strings.HasPrefix(d.Name(), ".") && d.Name() != "." && !hidden:
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			case d.Type().IsRegular():
				files = append(files, filepath.ToSlash(path))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// pack zips files below the folder that all have in common.
func pack(files []string) ([]byte, error) {
	common := filepath.Dir(files[0])
	for _, f := range files {
		for common != "." && !strings.HasPrefix(f, common+"/") {
			common = filepath.Dir(common)
		}
	}
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		to, err := w.Create(strings.TrimPrefix(f, common+"/"))
		if err == nil {
			_, err = to.Write(text)
		}
		if err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return b.Bytes(), err
}

// runOf is the run's id in the runtime's token.
func runOf(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", errors.New("ACTIONS_RUNTIME_TOKEN is no token of a runner's")
	}
	text, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct{ Scp string }
	if err := json.Unmarshal(text, &claims); err != nil {
		return "", err
	}
	scope := strings.Split(claims.Scp, ":") // Actions.Results:RUN:JOB
	if len(scope) != 3 {
		return "", fmt.Errorf("the runner's token is for %q", claims.Scp)
	}
	return scope[1], nil
}

func call(method, url string, body, answer any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, url, bytes.NewReader(text))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+os.Getenv("ACTIONS_RUNTIME_TOKEN"))
	request.Header.Set("Content-Type", "application/json")
	got, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if text, err = io.ReadAll(got.Body); err != nil {
		return err
	}
	if got.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", url, got.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
