// Command controlplane runs a real Kubernetes control plane on loopback, for tests, benchmarks and the quick start.
// It holds no test: it only starts etcd, the API server, the controllers and, on request, kube-scheduler and the kubelets' stand-in.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"ai-storage.keti/e2e/controlplane/internal/kubelets"
)

const usage = `controlplane runs a real Kubernetes control plane on loopback.

usage:
  controlplane up DIR [-port N] [-scheduler] [-kubelets] [-controllers LIST] [-feature-gates LIST]
                  [-runtime-config LIST]
      starts everything and serves until SIGTERM; writes DIR/kubeconfig (administrator),
      DIR/ready (the server's address, once it can be used) and DIR/COMPONENT.log; feature
      gates and runtime config are the API server's; SIGHUP kills etcd and the API server
      and starts them again on the same data
  controlplane kubelets [-kubeconfig FILE] [-selector LABELS]
      plays the kubelets of the nodes labelled ` + kubelets.DefaultSelector + `
  controlplane oracle [-feature-gates LIST]
      reads scenarios, one JSON object a line (conformance/README.md), and writes what
      kube-scheduler's own plugins make of each
  controlplane kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kubectl ARGS...
      the component itself, with its own flags; a link to this program named
      like a component is that component
`

// components are the programs inside this one; each reads os.Args by itself.
var components = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
}

func main() {
	which := filepath.Base(os.Args[0])
	if _, linked := components[which]; !linked {
		if len(os.Args) < 2 {
			fail(2, usage)
		}
		which = os.Args[1]
		os.Args = append([]string{which}, os.Args[2:]...)
	}
	switch which {
	case "up":
		exit(up(os.Args[1:]))
	case "kubelets":
		exit(playKubelets(os.Args[1:]))
	case "oracle":
		exit(playOracle(os.Args[1:]))
	case "-h", "--help", "help":
		fmt.Print(usage)
	default:
		component, known := components[which]
		if !known {
			fail(2, fmt.Sprintf("controlplane: unknown command %q\n\n%s", which, usage))
		}
		os.Exit(cli.Run(component()))
	}
}

// exit ends the program: 0 done, 1 failed, 2 wrong usage.
func exit(err error) {
	switch err.(type) {
	case nil:
		os.Exit(0)
	case usageError:
		fail(2, fmt.Sprintf("controlplane: %v\n\n%s", err, usage))
	default:
		fail(1, fmt.Sprintf("controlplane: %v\n", err))
	}
}

func fail(code int, text string) {
	fmt.Fprint(os.Stderr, text)
	os.Exit(code)
}

// usageError is a mistake on the command line, as opposed to something that went wrong.
type usageError struct{ error }
