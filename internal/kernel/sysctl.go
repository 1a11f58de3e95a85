package kernel

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Settings of the kernel are named by their path below /proc/sys, such as net/ipv4/ip_forward. Those of networks are the ones of
// the calling thread's namespace.

func sysctlPath(key string) string { return filepath.Join("/proc/sys", key) }

// Sysctl reads a setting; os.ErrNotExist if the kernel does not have it.
func Sysctl(key string) (string, error) {
	b, err := os.ReadFile(sysctlPath(key))
	return strings.TrimSpace(string(b)), err
}

// SetSysctl writes a setting unless it is so already; one that the kernel does not have is fine where optional says so.
func SetSysctl(key, value string, optional bool) error {
	now, err := Sysctl(key)
	if optional && errors.Is(err, os.ErrNotExist) || err == nil && now == value {
		return nil
	}
	if err := os.WriteFile(sysctlPath(key), []byte(value), 0); err != nil {
		return fmt.Errorf("cannot set sysctl %s to %s: %w", key, value, err)
	}
	return nil
}

// Sysctls lists what lies in a folder of settings.
func Sysctls(folder string) ([]string, error) {
	dir, err := os.Open(sysctlPath(folder))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}
