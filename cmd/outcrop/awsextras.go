package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// extras is the command that tells AWS's Python clients of what Outcrop takes
// beyond their models. botocore looks for service models in the user's
// ~/.aws/models first, and merges what stands under "merge" in a file
// SERVICE/API-VERSION/service-2.sdk-extras.json into the model that it ships
// [botocore/loaders.py].
type extras struct {
	models, version string
	print, remove   bool
}

// botocoreBedrock is the API version of botocore's model of Bedrock's control
// plane [botocore 1.43.11].
const botocoreBedrock = "2023-04-20"

// The places in a merged model, and what stands there.
const (
	unitsShape  = "OutcropDesiredModelUnits"
	unitsMember = "desiredModelUnits"
	updateShape = "UpdateProvisionedModelThroughputRequest"
	unitsDoc    = "<p>The number of model units that the Provisioned Throughput shall have. Outcrop takes it; Amazon Bedrock does not.</p>"
)

func newAWSExtras() *cobra.Command {
	x := &extras{}
	c := &cobra.Command{
		Use: "aws-extras", Short: "Let boto3 and the AWS CLI resize provisioned throughput", Args: cobra.NoArgs,
		Long: "Let boto3 and the AWS CLI send desiredModelUnits with UpdateProvisionedModelThroughput. AWS's models of the API lack it,\n" +
			"so that these clients refuse it before they send anything. One small file in ~/.aws/models adds it to the model that\n" +
			"they ship; nothing else changes, and real Bedrock ignores the member.",
		Example: `  outcrop aws-extras
  aws bedrock update-provisioned-model-throughput --provisioned-model-id my-pt --desired-model-units 2
  outcrop aws-extras --remove`,
		RunE: func(c *cobra.Command, _ []string) error { return x.run(c) },
	}
	f := c.Flags()
	f.StringVar(&x.models, "models", "", "folder of the client's service models (default: ~/.aws/models)")
	f.StringVar(&x.version, "api-version", botocoreBedrock, "API version of the model that the client ships")
	f.BoolVar(&x.print, "print", false, "print what the file would hold, and write nothing")
	f.BoolVar(&x.remove, "remove", false, "take out what the command put in")
	return c
}

func (x *extras) run(c *cobra.Command) error {
	path, err := x.path()
	if err != nil {
		return failed(err)
	}
	model, err := readExtras(path)
	if err != nil {
		return failed(fmt.Errorf("%s: %w; nothing was changed", path, err))
	}
	if x.remove {
		withoutUnits(model)
	} else {
		addUnits(model)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(model); err != nil {
		return failed(err)
	}
	if x.print {
		_, err := c.OutOrStdout().Write(text.Bytes())
		return err
	}
	if err := x.save(path, model, text.Bytes()); err != nil {
		return failed(err)
	}
	fmt.Fprintln(c.OutOrStdout(), path)
	if !x.remove {
		fmt.Fprintln(c.ErrOrStderr(), "boto3 and the AWS CLI now send desiredModelUnits; a program that runs must be started again")
	}
	return nil
}

func (x *extras) path() (string, error) {
	if x.version != filepath.Base(x.version) || strings.Trim(x.version, ".") == "" {
		return "", fmt.Errorf("--api-version %q: want a version such as %s", x.version, botocoreBedrock)
	}
	folder := x.models
	if folder == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("%w; name the folder with --models", err)
		}
		folder = filepath.Join(home, ".aws", "models")
	}
	return filepath.Join(folder, "bedrock", x.version, "service-2.sdk-extras.json"), nil
}

// maxExtras is the largest file that is read.
const maxExtras = 16 << 20

// readExtras reads a file that somebody else may have written too; without
// one, it is empty.
func readExtras(path string) (map[string]any, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[string]any{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, maxExtras))
	d.UseNumber()
	model := map[string]any{}
	if err := d.Decode(&model); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("there is more after the JSON object, or it is too large")
	}
	if model == nil {
		return nil, errors.New("not a JSON object")
	}
	return model, checkExtras(model)
}

// checkExtras refuses a file in which something else stands where the objects
// of a model should be.
func checkExtras(model map[string]any) error {
	at := model
	for _, name := range []string{"merge", "shapes", updateShape, "members"} {
		next, there := at[name]
		if !there {
			return nil
		}
		object, ok := next.(map[string]any)
		if !ok {
			return fmt.Errorf("%q is no object", name)
		}
		at = object
	}
	return nil
}

// child returns the object under the name, and makes it if it is not there.
func child(at map[string]any, name string) map[string]any {
	if object, ok := at[name].(map[string]any); ok {
		return object
	}
	object := map[string]any{}
	at[name] = object
	return object
}

func addUnits(model map[string]any) {
	if model["version"] == nil {
		model["version"] = json.Number("1.0")
	}
	shapes := child(child(model, "merge"), "shapes")
	shapes[unitsShape] = map[string]any{"type": "integer", "box": true, "min": 1}
	child(child(shapes, updateShape), "members")[unitsMember] = map[string]any{"shape": unitsShape, "documentation": unitsDoc}
}

// withoutUnits takes out what addUnits puts in, and what is empty then.
func withoutUnits(model map[string]any) {
	merge := child(model, "merge")
	shapes := child(merge, "shapes")
	update := child(shapes, updateShape)
	members := child(update, "members")
	delete(shapes, unitsShape)
	delete(members, unitsMember)
	for _, e := range []struct {
		at   map[string]any
		name string
	}{{update, "members"}, {shapes, updateShape}, {merge, "shapes"}, {model, "merge"}} {
		if len(child(e.at, e.name)) == 0 {
			delete(e.at, e.name)
		}
	}
}

// save writes the file whole or not at all; one that has nothing to merge any
// more is deleted.
func (x *extras) save(path string, model map[string]any, text []byte) error {
	if _, merges := model["merge"]; !merges {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".service-2.*.tmp")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(text)
	if err := errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
