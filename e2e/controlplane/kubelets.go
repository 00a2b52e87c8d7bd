// The command line of the kubelets' stand-in.
// What it does to nodes and pods is in internal/kubelets.
package main

import (
	"context"
	"flag"
	"io"
	"log"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"ai-storage.keti/e2e/controlplane/internal/kubelets"
)

// playKubelets runs until SIGTERM.
func playKubelets(args []string) error {
	flags := flag.NewFlagSet("kubelets", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	kubeconfig := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "")
	selector := flags.String("selector", kubelets.DefaultSelector, "")
	if err := flags.Parse(args); err != nil {
		return usageError{err}
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	// A test may bind a thousand pods at once; the API server is ours alone.
	config.QPS, config.Burst = 1000, 2000
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	log.SetFlags(log.LstdFlags | log.LUTC)
	return kubelets.New(client, *selector).Run(ctx)
}
