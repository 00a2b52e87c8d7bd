// Starts the parts of a control plane in order, and stops them together.
// What each part needs on disk is in credentials.go; etcd is in etcd.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

// Nodes here may have no kubelet at all, so the controllers that would declare them dead stay off.
const defaultControllers = "*,-node-lifecycle-controller,-taint-eviction-controller,-node-ipam-controller"

type options struct {
	dir         string
	port        int
	scheduler   bool
	kubelets    bool
	controllers string
	gates       string
	served      string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&o.port, "port", 0, "")
	flags.BoolVar(&o.scheduler, "scheduler", false, "")
	flags.BoolVar(&o.kubelets, "kubelets", false, "")
	flags.StringVar(&o.controllers, "controllers", defaultControllers, "")
	flags.StringVar(&o.gates, "feature-gates", "", "")
	flags.StringVar(&o.served, "runtime-config", "", "")
	// DIR may stand before or after the flags.
	for rest := args; len(rest) > 0; {
		if err := flags.Parse(rest); err != nil {
			return o, usageError{err}
		}
		rest = flags.Args()
		if len(rest) == 0 {
			break
		}
		if o.dir != "" {
			return o, usageError{fmt.Errorf("up takes one DIR, and got %q after %q", rest[0], o.dir)}
		}
		o.dir, rest = rest[0], rest[1:]
	}
	if o.dir == "" {
		return o, usageError{fmt.Errorf("up needs a DIR")}
	}
	if o.port < 0 || o.port > 65535 {
		return o, usageError{fmt.Errorf("-port %d is not a port: 1 to 65535, or 0 for any free one", o.port)}
	}
	dir, err := filepath.Abs(o.dir)
	o.dir = dir
	return o, err
}

// up serves until SIGTERM or SIGINT, or until a part dies; SIGHUP makes etcd and the API server die and come back.
func up(args []string) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	log.SetFlags(0)
	ready := filepath.Join(o.dir, "ready")
	if err := os.MkdirAll(o.dir, 0o700); err != nil {
		return err
	}
	if o.port == 0 {
		if o.port, err = freePort(); err != nil {
			return err
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()

	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGHUP)
	access, err := prepareAccess(o.dir, o.port)
	if err != nil {
		return err
	}
	family := &family{dir: o.dir, failed: make(chan error, 4)}
	store := &store{family: family, access: access, options: o}
	defer store.close()
	// Children get SIGTERM when ctx ends, and etcd must outlive them.
	defer family.wait()
	defer stop()
	defer os.Remove(ready)
	if err := store.open(ctx, ready); err != nil {
		return err
	}
	if err := startClients(ctx, family, access, o); err != nil {
		return err
	}
	for {
		// Before its namespace has this account, the API server refuses pods.
		if err := access.waitFor(ctx, "/api/v1/namespaces/default/serviceaccounts/default", family.failed); err != nil {
			return err
		}
		if err := os.WriteFile(ready, []byte(access.server+"\n"), 0o600); err != nil {
			return err
		}
		log.Printf("control plane ready: KUBECONFIG=%s", access.kubeconfig)
		select {
		case <-ctx.Done():
			return nil
		case err := <-family.failed:
			return err
		case <-died:
			store.kill()
			if err := store.open(ctx, ready); err != nil {
				return err
			}
		}
	}
}

// store is etcd with the API server before it: what clients lose together.
type store struct {
	family  *family
	access  *access
	options options
	etcd    *embed.Etcd
	server  *child
}

// open starts both and waits until they answer; meanwhile there is no file ready.
func (s *store) open(ctx context.Context, ready string) error {
	err := os.Remove(ready)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	if s.etcd, err = startEtcd(filepath.Join(s.options.dir, "etcd")); err != nil {
		return err
	}
	flags := apiServerFlags(s.access, s.etcd.Clients[0].Addr().String(), s.options)
	if s.server, err = s.family.start(ctx, "kube-apiserver", flags...); err != nil {
		return err
	}
	return s.access.waitFor(ctx, "/readyz", s.family.failed)
}

func (s *store) kill() {
	s.server.kill()
	s.close()
}

func (s *store) close() {
	if s.etcd != nil {
		s.etcd.Close()
	}
}

func apiServerFlags(access *access, etcd string, o options) []string {
	return []string{
		"--etcd-servers=http://" + etcd,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", o.port),
		"--tls-cert-file=" + access.servingCert, "--tls-private-key-file=" + access.servingKey,
		"--token-auth-file=" + access.tokens, "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file=" + access.accountKey, "--service-account-signing-key-file=" + access.accountKey,
		"--service-cluster-ip-range=10.0.0.0/24",
		// Nodes are created Ready by tests; the taint that a kubelet would lift must not appear.
		"--disable-admission-plugins=TaintNodesByCondition",
		"--kubelet-preferred-address-types=InternalIP", "--feature-gates=" + o.gates,
		"--runtime-config=" + o.served,
		// Benchmarks measure schedulers, not the API server's queues.
		"--enable-priority-and-fairness=false", "--max-requests-inflight=0", "--max-mutating-requests-inflight=0",
	}
}

func startClients(ctx context.Context, family *family, access *access, o options) error {
	_, err := family.start(ctx, "kube-controller-manager", "--kubeconfig="+access.kubeconfig, "--leader-elect=false", "--secure-port=0",
		"--service-account-private-key-file="+access.accountKey, "--root-ca-file="+access.authority,
		"--use-service-account-credentials=false", "--controllers="+o.controllers,
		"--kube-api-qps=500", "--kube-api-burst=1000")
	if err == nil && o.scheduler {
		_, err = family.start(ctx, "kube-scheduler", "--kubeconfig="+access.kubeconfig, "--leader-elect=false", "--secure-port=0",
			"--kube-api-qps=5000", "--kube-api-burst=5000")
	}
	if err == nil && o.kubelets {
		_, err = family.start(ctx, "kubelets", "-kubeconfig="+access.kubeconfig)
	}
	return err
}

// family is the set of children: this same program, once per component.
type family struct {
	dir      string
	failed   chan error
	children []*child
}

type child struct {
	process *os.Process
	killed  atomic.Bool
	ended   chan struct{}
}

// start runs one component in the background until ctx ends; its output is added to DIR/COMPONENT.log.
func (f *family) start(ctx context.Context, component string, args ...string) (*child, error) {
	out, err := os.OpenFile(filepath.Join(f.dir, component+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, append([]string{component}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	// A group of its own, so that Ctrl-C reaches it through us and in order; the death signal, so that none is left behind.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	started := &child{process: cmd.Process, ended: make(chan struct{})}
	f.children = append(f.children, started)
	go func() {
		defer out.Close()
		err := cmd.Wait()
		close(started.ended)
		if !started.killed.Load() {
			f.failed <- fmt.Errorf("%s stopped (%v); see %s", component, err, out.Name())
		}
	}()
	return started, nil
}

// kill ends it as a machine that fails would, and waits.
func (c *child) kill() {
	c.killed.Store(true)
	_ = c.process.Kill()
	<-c.ended
}

func (f *family) wait() {
	for _, child := range f.children {
		<-child.ended
	}
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("no free port on loopback: %w", err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
