package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"podc.example/podc/engine/oci"
	"podc.example/podc/internal/fault"
)

// maxAccountFile bounds what is read of an image's passwd and group files.
const maxAccountFile = 4 << 20

// LookupUser resolves "name|uid[:group|gid]" and further groups against the account files inside root. Nothing in root is
// trusted: links stay within it, and only regular files are read (a FIFO in their place would block, CVE-2024-9676).
func LookupUser(root, spec string, groups []string) (oci.Identity, error) {
	passwd, err := readAccounts(root, "/etc/passwd")
	if err != nil {
		return oci.Identity{}, err
	}
	group, err := readAccounts(root, "/etc/group")
	if err != nil {
		return oci.Identity{}, err
	}
	u, err := user.GetExecUser(spec, &user.ExecUser{Home: "/"}, strings.NewReader(passwd), strings.NewReader(group))
	if err != nil {
		if errors.Is(err, user.ErrNoPasswdEntries) {
			err = user.ErrNoPasswdEntries // the rest says the same again
		}
		return oci.Identity{}, fault.New(errdefs.ErrInvalidArgument, "cannot find user %q in the image: %w", spec, err)
	}
	id := oci.Identity{UID: u.Uid, GID: u.Gid, Groups: append([]int{u.Gid}, u.Sgids...), Home: u.Home}
	if len(groups) > 0 {
		more, err := user.GetAdditionalGroups(groups, strings.NewReader(group))
		if err != nil {
			return oci.Identity{}, fault.New(errdefs.ErrInvalidArgument, "cannot find groups %q in the image: %w", groups, err)
		}
		id.Groups = append(id.Groups, more...)
	}
	slices.Sort(id.Groups)
	id.Groups = slices.Compact(id.Groups)
	return id, nil
}

// readAccounts returns the content of an account file, or nothing if the image has none.
func readAccounts(root, path string) (string, error) {
	f, err := OpenIn(root, path, os.O_RDONLY|unix.O_NONBLOCK)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("cannot read the image's accounts: %w", err)
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || !fi.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("cannot read the image's accounts: %s in it is not a regular file", path))
	}
	b, err := io.ReadAll(io.LimitReader(f, maxAccountFile))
	return string(b), err
}
