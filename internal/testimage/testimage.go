// Package testimage builds the images that podc's tests, demo and benchmarks run: real software from the packages of the
// Debian or Ubuntu it runs on, without any registry. Built archives are kept by content, so that a second run costs
// nothing, and the same packages give the same archive, byte for byte.
//
//	localhost/podc-busybox    busybox as everything: sh, httpd, nc, wget, nslookup, ...
//	localhost/podc-probe      FROM scratch with one static Go program (folder probe) that does what tests ask of it
//	localhost/podc-postgres   PostgreSQL, runs as user postgres, makes its cluster in an empty volume
//	localhost/podc-nginx      nginx in the foreground, serves /etc/nginx/conf.d/*.conf
package testimage

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// The images that Build knows.
const (
	Busybox  = "busybox"
	Probe    = "probe"
	Postgres = "postgres"
	Nginx    = "nginx"
)

// All lists them.
func All() []string { return []string{Busybox, Probe, Postgres, Nginx} }

// Ref is the name that the image has once it is loaded.
func Ref(image string) string { return "localhost/podc-" + image + ":latest" }

// CacheDir is where archives and packages are kept between runs: $PODC_TEST_CACHE, or a folder in the user's cache.
func CacheDir() (string, error) {
	if dir := os.Getenv("PODC_TEST_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil { // no $HOME
		dir = "/var/cache"
	}
	return filepath.Join(dir, "podc-testimages"), nil
}

// Build returns the path of a docker-archive of the image, built if its parts changed since the last time. Several
// processes may build the same image at once. On a machine that cannot build any, $PODC_TEST_IMAGES is a folder of such archives.
func Build(ctx context.Context, image string) (string, error) {
	r, ok := recipes[image]
	if !ok {
		return "", fmt.Errorf("no test image %q", image)
	}
	if dir := os.Getenv("PODC_TEST_IMAGES"); dir != "" {
		return filepath.Join(dir, image+".tar"), nil
	}
	dir, err := CacheDir()
	if err != nil {
		return "", err
	}
	b := &builder{ctx: ctx, dir: dir}
	if err := os.MkdirAll(b.debs(), 0o755); err != nil {
		return "", err
	}
	path, err := b.archive(image, r)
	if err != nil {
		return "", fmt.Errorf("cannot build the test image %q: %w", image, err)
	}
	return path, nil
}

// builder is one run of Build.
type builder struct {
	ctx context.Context
	dir string
}

func (b *builder) debs() string { return filepath.Join(b.dir, "debs") }

// archive builds r unless an archive of the same content is there.
func (b *builder) archive(image string, r recipe) (string, error) {
	parts, err := b.gather(r)
	if err != nil {
		return "", err
	}
	path := filepath.Join(b.dir, image+"-"+parts.key()+".tar")
	now := time.Now()
	if err := os.Chtimes(path, now, now); err == nil { // its use counts, see forget
		return path, nil
	}
	img, err := b.assemble(r, parts)
	if err != nil {
		return "", err
	}
	if err := writeArchive(path, Ref(image), img); err != nil {
		return "", err
	}
	return path, b.forget(image)
}

// unused is how long an archive is kept after its last use. Another working tree may have made it from other sources.
const unused = 48 * time.Hour

// forget removes the archives of the image that are not used any more.
func (b *builder) forget(image string) error {
	archives, err := filepath.Glob(filepath.Join(b.dir, image+"-*.tar"))
	if err != nil {
		return err
	}
	for _, path := range archives {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > unused {
			os.Remove(path)
		}
	}
	return nil
}

// writeArchive writes path in one step, so that nobody sees half of it.
func writeArchive(path, ref string, img v1.Image) error {
	tag, err := name.NewTag(ref, name.WithDefaultRegistry(""))
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	f.Close()
	defer os.Remove(f.Name())
	if err := tarball.WriteToFile(f.Name(), tag, img); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// OCIArchive writes the image of a docker-archive as an oci-archive that names it ref.
func OCIArchive(path, dockerArchive, ref string) error {
	img, err := tarball.ImageFromPath(dockerArchive, nil)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), "oci-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	named := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": ref})
	if err := l.AppendImage(img, named); err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	defer out.Close()
	t := tar.NewWriter(out)
	return errors.Join(t.AddFS(os.DirFS(dir)), t.Close())
}

// ingredients is what an image is made of; the same ingredients make the same image.
type ingredients struct {
	packages []deb
	program  []byte // the probe
	recipe   string
}

func (in *ingredients) key() string {
	h := sha256.New()
	var lines []string
	for _, p := range in.packages {
		lines = append(lines, p.name+" "+p.hash)
	}
	slices.Sort(lines)
	fmt.Fprintln(h, strings.Join(lines, "\n"))
	fmt.Fprintf(h, "%x\n%s\n", sha256.Sum256(in.program), in.recipe)
	return fmt.Sprintf("%x", h.Sum(nil))[:16]
}
