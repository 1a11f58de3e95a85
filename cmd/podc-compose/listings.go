package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/compose-spec/compose-go/v2/template"

	"podc.example/podc/compose"
	"podc.example/podc/internal/disk"
	"podc.example/podc/project/translate"
)

// hashes prints "service hash" lines for the services that --hash names, "*" being all.
func hashes(p *compose.Project, f *flagSet) ([]byte, error) {
	var key []byte
	if name := f.last("key-file"); name != "" {
		var err error
		if key, err = disk.ReadRegular(name, 4096); err != nil {
			return nil, fmt.Errorf("cannot read the key of this root: %w", err)
		}
	}
	res, err := translate.Translate(p, translate.Options{Key: key, Compatibility: f.is("compatibility") || compatibility(p)})
	if err != nil {
		return nil, err
	}
	byName := map[string]string{}
	for _, s := range res.Desired.Services {
		byName[s.Name] = s.Hash
	}
	names := slices.Sorted(maps.Keys(byName))
	if asked := f.last("hash"); asked != "*" {
		names = strings.Split(asked, ",")
	}
	var list []string
	for _, name := range names {
		hash, ok := byName[name]
		if !ok {
			return nil, fmt.Errorf("no such service: %s", name)
		}
		list = append(list, name+" "+hash)
	}
	return lines(list), nil
}

// variable is one of --variables, in the shapes that docker compose gives it.
type variable struct {
	Name          string `yaml:"name"`
	DefaultValue  string `yaml:"defaultvalue"`
	PresenceValue string `yaml:"presencevalue"`
	Required      bool   `yaml:"required"`
}

// variables prints the variables that the compose files refer to: as a table, or by name.
func variables(tree map[string]any, format string) ([]byte, error) {
	found := map[string]variable{}
	for name, v := range template.ExtractVariables(tree, template.DefaultPattern) {
		found[name] = variable{v.Name, v.DefaultValue, v.PresenceValue, v.Required}
	}
	switch format {
	case "json":
		b, err := json.MarshalIndent(found, "", "    ")
		return append(b, "\n\n"...), err
	case "yaml":
		b, err := asYAML(found, 4)
		return append(b, '\n'), err
	}
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 20, 1, 3, ' ', 0)
	fmt.Fprintln(w, "NAME\tREQUIRED\tDEFAULT VALUE\tALTERNATE VALUE")
	for _, name := range slices.Sorted(maps.Keys(found)) {
		v := found[name]
		fmt.Fprintf(w, "%s\t%t\t%s\t%s\n", v.Name, v.Required, v.DefaultValue, v.PresenceValue)
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
