// The command line of the oracle.
// What it answers is in internal/oracle.
package main

import (
	"flag"
	"io"
	"os"

	"ai-storage.keti/e2e/controlplane/internal/oracle"
)

// playOracle answers until its input ends.
func playOracle(args []string) error {
	flags := flag.NewFlagSet("oracle", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	gates := flags.String("feature-gates", "", "")
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	return oracle.Run(os.Stdin, os.Stdout, *gates)
}
