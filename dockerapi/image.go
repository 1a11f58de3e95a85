package dockerapi

import (
	"strings"
	"time"

	"podc.example/podc/api"
)

// Image is the answer of GET /images/{name}/json.
type Image struct {
	ID           string `json:"Id"`
	RepoTags     []string
	RepoDigests  []string
	Comment      string `json:",omitempty"`
	Created      string `json:",omitempty"`
	Author       string `json:",omitempty"`
	Config       *ImageConfig
	Architecture string
	Os           string
	Size         int64       // bytes
	GraphDriver  *DriverData `json:",omitempty"`
	RootFS       RootFS
	Metadata     struct {
		LastTagTime time.Time
	}
}

// ImageConfig is what an image says about its containers.
type ImageConfig struct {
	User         string              `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
	Healthcheck  *HealthConfig       `json:",omitempty"`
}

// RootFS lists the digests of the layers, bottom first.
type RootFS struct {
	Type   string   `json:",omitempty"`
	Layers []string `json:",omitempty"`
}

// ImageHistory is one step of the answer of GET /images/{name}/history, the last first.
type ImageHistory struct {
	Comment   string
	Created   int64 // seconds since 1970
	CreatedBy string
	ID        string `json:"Id"`
	Size      int64  // bytes; 0 where podc does not know
	Tags      []string
}

// InspectImage describes an image.
func InspectImage(img api.ImageDetails) Image {
	conf := img.Config
	tags, digests := repoNames(img.Names, img.Digest)
	out := Image{
		ID: imageID(img.ID), RepoTags: tags, RepoDigests: digests, Created: stamp(img.Created), Author: img.Author,
		Architecture: conf.Architecture, Os: conf.OS, Size: img.Size, RootFS: RootFS{Type: "layers", Layers: img.DiffIDs},
		Config: &ImageConfig{User: conf.User, ExposedPorts: set(conf.ExposedPorts), Env: conf.Env, Entrypoint: conf.Entrypoint,
			Cmd: conf.Cmd, Volumes: set(conf.Volumes), WorkingDir: conf.WorkingDir, Labels: conf.Labels, StopSignal: conf.StopSignal,
			Healthcheck: healthConfig(conf.Health)},
	}
	if len(img.Layers) > 0 {
		data := map[string]string{"UpperDir": img.Layers[0]}
		if below := img.Layers[1:]; len(below) > 0 {
			data["LowerDir"] = strings.Join(below, ":")
		}
		out.GraphDriver = &DriverData{Name: "overlay2", Data: data}
	}
	if n := len(img.History); n > 0 {
		out.Comment = img.History[n-1].Comment
	}
	return out
}

// HistoryOf tells how an image was built, the last step first. Only the last one is an image that podc has.
func HistoryOf(img api.ImageDetails) []ImageHistory {
	list := []ImageHistory{}
	for i := len(img.History) - 1; i >= 0; i-- {
		h := img.History[i]
		step := ImageHistory{Comment: h.Comment, Created: h.Created.Unix(), CreatedBy: h.CreatedBy, ID: "<missing>", Size: h.Size}
		if len(list) == 0 {
			step.ID = imageID(img.ID)
			step.Tags, _ = repoNames(img.Names, "")
		}
		list = append(list, step)
	}
	return list
}

// repoNames are an image's names by tag, and those by digest.
func repoNames(names []string, digest string) (tags, digests []string) {
	tags, digests = []string{}, []string{}
	for _, name := range names {
		repo, _ := SplitName(Familiar(name))
		if strings.Contains(name, "@") {
			digests = append(digests, Familiar(name))
			continue
		}
		tags = append(tags, Familiar(name))
		if digest != "" {
			digests = append(digests, repo+"@"+digest)
		}
	}
	return tags, distinct(digests)
}

// Familiar shortens a normalised name as docker does: docker.io and its library go without saying.
func Familiar(name string) string {
	if short, ok := strings.CutPrefix(name, "docker.io/library/"); ok {
		return short
	}
	return strings.TrimPrefix(name, "docker.io/")
}

// SplitName parts name and tag. A digest stays with the name.
func SplitName(name string) (repo, tag string) {
	if strings.Contains(name, "@") {
		return name, ""
	}
	i := strings.LastIndexByte(name, ':')
	if i < 0 || strings.Contains(name[i:], "/") {
		return name, ""
	}
	return name[:i], name[i+1:]
}
