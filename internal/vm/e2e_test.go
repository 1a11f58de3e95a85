package vm_test

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"podc.example/podc/internal/testimage"
)

// selected are the end-to-end tests that run on users' kernels too: those of what depends on them, and whose patience is long enough
// for a slow machine.
var selected = []string{
	"TestCopying", "TestImagesAndArchivesOfContainers", "TestImagesAsVolumes", "TestVolumesThatAreMounts", "TestMounts", "TestConfigsAndSecrets",
	"TestNamespaces", "TestBuilds", "TestNetworkOfBuilds",
}

// endToEnd runs selected end-to-end tests on the machine, each for itself.
func endToEnd(m machine) {
	compile := exec.Command("go", "test", "-c", "-o", filepath.Join(m.share, "e2e.test"), "../../e2e")
	if out, err := compile.CombinedOutput(); err != nil {
		m.Fatalf("%v\n%s", err, out)
	}
	m.images(testimage.All()...)
	m.root("mkdir -p /srv/tests/e2e && cp /mnt/host/e2e.test /srv/tests/e2e/")
	defer m.root("rm -rf /srv/tests")
	for _, name := range selected {
		m.behaves(name, func(m machine) {
			out, err := m.vm.Run(m.Context(), "root", "cd /srv/tests/e2e && PODC_TEST_IMAGES=/mnt/host/images ./e2e.test -podc-bin /usr/local/bin -test.v -test.timeout 9m -test.run '^"+name+"$' 2>&1")
			switch {
			case err != nil:
				m.Errorf("%v\n%s", err, out)
			case !regexp.MustCompile(`(?m)^--- (PASS|SKIP)`).MatchString(out):
				m.Errorf("no such test:\n%s", out)
			}
			if strings.Contains(out, "\n--- SKIP") {
				m.Log(out)
			}
		})
	}
}
