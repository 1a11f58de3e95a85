package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"podc.example/podc/doctor"
	"podc.example/podc/internal/fault"
	"podc.example/podc/netstack"
)

func doctorCommand(con *console) *cli.Command {
	return &cli.Command{
		Name: "doctor", Usage: "look whether the machine has what containers need; exit code 1 if not",
		Flags: []cli.Flag{text("format", "text or json (`FORMAT`)")},
		Action: forAnyone(con, func(s *session, c *cli.Context) error {
			format := c.String("format")
			if format != "" && format != "text" && format != "json" {
				return usage("unknown --format %q: want text or json", format)
			}
			found := doctor.Examine(c.Context, s.machine())
			if err := printFindings(con, s.globals, found, format == "json"); err != nil {
				return err
			}
			if !doctor.Healthy(found) {
				return fault.Silent(exitFailure)
			}
			return nil
		}),
	}
}

// machine is this one.
func (s *session) machine() doctor.Host {
	return doctor.Host{
		Path: s.con.env["PATH"], Helpers: filepath.Dir(s.con.exe), DataRoot: s.root, RunRoot: s.runRoot, UID: s.con.uid,
		Probes: []doctor.Probe{
			{Name: "root filesystems", Try: s.engine.TryRootfs, Fine: "overlays can be mounted below " + s.root, Needed: true,
				Mend: "put the data root on ext4, xfs or btrfs (--root), and give podc the right to mount"},
			{Name: "networks", Try: netstack.TryKernel, Fine: "bridges, pairs of links and nftables can be made", Needed: true,
				Mend: "load what is missing (modprobe bridge veth nf_tables nft_chain_nat), or use a kernel that has it"},
			{Name: "forward policy", Try: s.blockers, Fine: "nobody drops what podc lets through",
				Mend: "accept the traffic of podc's bridges there (iifname \"b*\"), or set the policy to accept"},
			{Name: "ports", Try: s.engine.TryPorts, Fine: "those of containers at rest are free", Mend: "end who has them, or publish others"},
		},
	}
}

// blockers fails with the chains of others that drop what podc lets through.
func (s *session) blockers(ctx context.Context) error {
	chains, err := s.engine.Network().Blockers(ctx)
	if err == nil && len(chains) > 0 {
		err = errors.New(strings.Join(chains, "; "))
	}
	return err
}

var findingColors = map[doctor.State]string{doctor.OK: "32", doctor.Warning: "33", doctor.Missing: "31"}

func printFindings(con *console, g globals, found []doctor.Finding, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(con.out).Encode(found)
	}
	for _, f := range found {
		state := fmt.Sprintf("%-8s", f.State)
		if g.color(con.outTTY) {
			state = "\x1b[" + findingColors[f.State] + "m" + state + "\x1b[0m"
		}
		line := state + fmt.Sprintf("%-18s", f.Name) + strings.ReplaceAll(printable(f.Text), "\n", "; ")
		if f.Mend != "" {
			line += "\n" + strings.Repeat(" ", 8+18) + "-> " + printable(f.Mend)
		}
		if _, err := fmt.Fprintln(con.out, line); err != nil {
			return err
		}
	}
	return nil
}
