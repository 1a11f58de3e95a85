package compose

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/dotenv"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/containerd/errdefs"
	"go.yaml.in/yaml/v4"

	"podc.example/podc/internal/disk"
)

// scanned is one compose file as YAML nodes, kept to find the lines of keys.
type scanned struct {
	name string // for messages
	docs []*yaml.Node
}

// scanner reads every file that a project consists of before the loader does: it enforces limits, finds unknown keys with
// their lines, and lists all inputs.
type scanner struct {
	*load
	seen  map[string]bool
	sizes map[string]int // nodes of each file
	total int            // nodes of all files
	// What services extend from is merged, and what is included is read, as often as it is named.
	copied, named int
	bodies        map[string]*body // services by file and name
	// What the files hold, those that are only extended from left out.
	services, dependencies, ports, inherited int
}

// scope is where relative paths and variables of a file are resolved.
type scope struct {
	dir      string // base of include and extends
	env      types.Mapping
	extended bool     // the file is read for `extends` only
	chain    []string // files that led here
}

// file scans one file, then the files that it includes and extends. The content of those named on the command line is given.
func (s *scanner) file(path string, content []byte, sc scope) error {
	if err := s.checkChain(path, sc); err != nil {
		return err
	}
	if content == nil {
		s.inputs.add(path)
		if s.seen[path+"\x00"+sc.dir] {
			return nil
		}
		s.seen[path+"\x00"+sc.dir] = true
		var err error
		if content, err = disk.ReadRegular(path, MaxFile); err != nil {
			if errors.Is(err, os.ErrNotExist) && len(sc.chain) > 0 {
				return fileError(s.display(path), "file", "", err).WithHint("it is named in %s", s.display(sc.chain[len(sc.chain)-1]))
			}
			return fileError(s.display(path), "compose file", "", err)
		}
	}
	docs, err := s.parse(path, content)
	if err != nil {
		return err
	}
	if s.total += s.sizes[path]; s.total > maxNodes {
		return invalidAt(s.display(path), 0, "more than %d values in all files of the project", maxNodes)
	}
	s.files = append(s.files, scanned{s.display(path), docs})
	sc.chain = append(sc.chain[:len(sc.chain):len(sc.chain)], path)
	for _, doc := range docs {
		if err := s.document(path, doc, sc); err != nil {
			return err
		}
	}
	return nil
}

func (s *scanner) checkChain(path string, sc scope) error {
	for i, p := range sc.chain {
		if p == path && path != "-" && !sc.extended {
			return Invalid("", "include cycle: %s", s.chainText(append(sc.chain[i:len(sc.chain):len(sc.chain)], path)))
		}
	}
	if len(sc.chain) > maxNesting {
		return Invalid("", "files include or extend each other more than %d deep, beginning with %s", maxNesting, s.display(sc.chain[0]))
	}
	return nil
}

func (s *scanner) chainText(chain []string) string {
	names := make([]string, len(chain))
	for i, p := range chain {
		names[i] = s.display(p)
	}
	return strings.Join(names, " -> ")
}

// parse reads all documents of a file and checks their shape.
func (s *scanner) parse(path string, content []byte) ([]*yaml.Node, error) {
	var docs []*yaml.Node
	if n := mayHold(content); n > maxMarks {
		return nil, invalidAt(s.display(path), 0, "may hold %d values, and %d are the most", n, maxNodes)
	}
	dec := yaml.NewDecoder(bytes.NewReader(content))
	for {
		doc := new(yaml.Node)
		err := dec.Decode(doc)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, s.syntaxError(path, content, err)
		}
		if len(doc.Content) == 0 {
			continue
		}
		sh := &shape{sizes: map[*yaml.Node]int{}}
		size, err := sh.check(doc, 0)
		if err != nil {
			return nil, s.at(path, err)
		}
		s.sizes[path] += size
		docs = append(docs, doc.Content[0])
	}
}

// yamlError is what the YAML library says: "go-yaml load error in parser (while parsing a block mapping) at L2.C3-L4.C4: text".
var yamlError = regexp.MustCompile(`^go-yaml load error in \w+(?: \([^)]*\))? at (?:L(\d+)\.C\d+(?:-(?:L(\d+)\.)?C\d+)?|<[^>]*>): `)

// syntaxError says on which one line a file is no YAML: where what is not closed begins, else where the reader could not go on.
func (s *scanner) syntaxError(path string, content []byte, err error) error {
	p := Problem{File: s.display(path), Text: strings.TrimPrefix(err.Error(), "yaml: ")}
	if m := yamlError.FindStringSubmatch(p.Text); m != nil {
		p.Text = strings.TrimPrefix(p.Text, m[0])
		line := m[1]
		if open := strings.Contains(p.Text, "',' or") || strings.Contains(p.Text, "end of stream"); m[2] != "" && !open {
			line = m[2]
		}
		p.Line, _ = strconv.Atoi(line)
		p.Line = min(p.Line, len(bytes.Split(bytes.TrimRight(content, "\n"), []byte("\n"))))
	}
	p.Text = "not valid YAML: " + strings.TrimSpace(p.Text)
	return &Error{Class: errdefs.ErrInvalidArgument, Problems: []Problem{p}}
}

func (s *scanner) at(path string, err error) error {
	e := asError(err)
	for i := range e.Problems {
		e.Problems[i].File = s.display(path)
	}
	return e
}

// document checks the keys of one document and follows its references.
func (s *scanner) document(path string, doc *yaml.Node, sc scope) error {
	if doc.Kind != yaml.MappingNode {
		if doc.Tag == "!!null" {
			return nil
		}
		return s.at(path, shapeError(doc, "a compose file is a mapping with keys such as \"services\""))
	}
	if unknown := unknownKeys(doc); len(unknown) > 0 {
		return s.at(path, &Error{Class: errdefs.ErrInvalidArgument, Problems: unknown})
	}
	services := pairs(field(doc, "services"))
	if !sc.extended {
		if err := s.count(services); err != nil {
			return s.placed(path, doc, err)
		}
	}
	if err := s.shortForms(path, services, sc); err != nil {
		return s.placed(path, doc, err)
	}
	if err := s.extends(path, services, sc); err != nil || sc.extended {
		return err
	}
	if field(doc, "version") != nil {
		s.warn("%s: version: ignored: it has no meaning any more", s.display(path))
	}
	return s.includes(field(doc, "include"), sc)
}

// placed gives the problems of err the lines of their keys in this document.
func (s *scanner) placed(path string, doc *yaml.Node, err error) error {
	return locatedIn([]scanned{{s.display(path), []*yaml.Node{doc}}}, err)
}

// extends follows `extends` of every service.
func (s *scanner) extends(path string, services []pair, sc scope) error {
	for _, svc := range services {
		extends := deref(field(svc.value, "extends"))
		file, name := s.text(field(extends, "file"), sc.env), s.text(field(extends, "service"), sc.env)
		if file == "" {
			s.body(path, svc.key).extends = s.body(path, cmp.Or(name, s.text(extends, sc.env)))
			continue
		}
		key := "services." + svc.key + ".extends.file"
		if remote(file) {
			return NotServed(key, file, "")
		}
		target := rel(sc.dir, file)
		s.body(path, svc.key).extends = s.body(target, name)
		if target == path {
			continue
		}
		next := scope{dir: filepath.Dir(target), env: sc.env, extended: true, chain: sc.chain}
		if err := s.file(target, nil, next); err != nil {
			return err
		}
		if s.copied += s.sizes[target]; s.copied > maxCopied {
			return Invalid(key, "services extend from files of more than %d values together, each file counted as often as it is named", maxCopied)
		}
	}
	if sc.extended {
		return nil
	}
	for _, svc := range services {
		b := s.body(path, svc.key)
		b.merge(0)
		if s.ports += b.ports; s.ports > maxPorts {
			return Invalid("services."+svc.key+".ports", "more than %d ports are published or exposed", maxPorts)
		}
		if b.extends == nil {
			continue
		}
		for _, n := range b.extends.nodes {
			s.inherited += n
		}
		if s.inherited > maxInherited {
			return Invalid("services."+svc.key+".extends", "services extend others of more than %d values together, each counted as often as it is named", maxInherited)
		}
	}
	return nil
}

// body is a service by what it costs: the YAML nodes of each of its keys, and its ports.
type body struct {
	nodes   map[string]int
	ports   int
	extends *body
	merged  bool
}

// body returns the one body of a service, which may be named before it is read.
func (s *scanner) body(path, name string) *body {
	id := path + "\x00" + name
	if s.bodies[id] == nil {
		s.bodies[id] = &body{nodes: map[string]int{}}
	}
	return s.bodies[id]
}

// merge adds what b extends: a mapping or a list keeps its own entries, a scalar takes the place of the one before. The loader reports
// cycles.
func (b *body) merge(depth int) {
	if b.merged || b.extends == nil || depth > maxServices {
		return
	}
	b.merged = true
	b.extends.merge(depth + 1)
	b.ports += b.extends.ports
	for key, n := range b.extends.nodes {
		if own := b.nodes[key]; own != 1 {
			b.nodes[key] = own + n
		}
	}
}

// includes follows the entries of `include`, each with its own folder and environment.
func (s *scanner) includes(list *yaml.Node, sc scope) error {
	for i, entry := range items(list) {
		paths := []*yaml.Node{entry}
		if entry.Kind == yaml.MappingNode {
			paths = listOf(field(entry, "path"))
		}
		next := scope{env: sc.env, chain: sc.chain}
		for j, p := range paths {
			file := s.text(p, sc.env)
			if file == "" {
				continue
			}
			if remote(file) {
				return NotServed(fmt.Sprintf("include[%d]", i), file, "fetch it first, and include the local copy")
			}
			if s.named++; s.named > maxFiles {
				return Invalid(fmt.Sprintf("include[%d]", i), "more than %d files are included", maxFiles)
			}
			file = rel(sc.dir, file)
			if j == 0 {
				if err := s.enter(&next, file, entry, sc); err != nil {
					return err
				}
			}
			if err := s.file(file, nil, next); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter sets the folder and environment of an included file.
func (s *scanner) enter(next *scope, file string, entry *yaml.Node, from scope) error {
	next.dir = filepath.Dir(file)
	if dir := s.text(field(entry, "project_directory"), from.env); dir != "" {
		next.dir = rel(from.dir, dir)
	}
	envFiles := []string{filepath.Join(next.dir, ".env")}
	if named := listOf(field(entry, "env_file")); len(named) > 0 {
		envFiles = nil
		for _, n := range named {
			envFiles = append(envFiles, rel(from.dir, s.text(n, from.env)))
		}
	}
	s.inputs.add(envFiles...)
	g := newGrowth(from.env.Resolve)
	for _, f := range envFiles {
		if missing(f) || isFolder(f) {
			continue // the loader's to report
		}
		if err := s.checkVariables(f, "env file", "", g); err != nil {
			return err
		}
		if vars, err := dotenv.GetEnvFromFile(from.env, []string{f}); err == nil {
			next.env = next.env.Clone().Merge(vars)
		}
	}
	return nil
}

// count bounds services and the dependencies of all of them together.
func (s *scanner) count(services []pair) error {
	if s.services += len(services); s.services > maxServices {
		return Invalid("services", "more than %d services", maxServices)
	}
	for _, svc := range services {
		on := deref(field(svc.value, "depends_on"))
		if on == nil {
			continue
		}
		n := len(on.Content)
		if on.Kind == yaml.MappingNode {
			n /= 2
		}
		if s.dependencies += n; s.dependencies > maxDependencies {
			return Invalid("services."+svc.key+".depends_on", "more than %d dependencies in all", maxDependencies)
		}
	}
	return nil
}

// text is the interpolated value of a scalar. What cannot be interpolated is left to the loader to report.
func (s *scanner) text(n *yaml.Node, env types.Mapping) string {
	n = deref(n)
	if n == nil || n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return ""
	}
	out, err := (&substitution{lookup: env.Resolve, room: &s.room}).expand(n.Value, 0)
	if err != nil {
		return ""
	}
	return out
}

func rel(dir, path string) string {
	if strings.HasPrefix(path, "~") {
		if home, err := os.UserHomeDir(); err == nil {
			path = filepath.Join(home, strings.TrimPrefix(path, "~"))
		}
	}
	return within(dir, path)
}
