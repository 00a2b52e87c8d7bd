// Package kubelets plays the kubelets of nodes that have none, so that bound pods run, finish and go away.
// It starts no container: what a pod would do is read from its command and annotations.
package kubelets

import (
	"context"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

const (
	// DefaultSelector marks the nodes whose kubelet is played here.
	DefaultSelector = "ai-storage.keti/simulated=true"

	byNode  = "node"
	workers = 8
	// heartbeat is the real kubelet's interval for its lease.
	heartbeat = 10 * time.Second
)

// Player is one stand-in for all kubelets of the nodes that its selector names.
type Player struct {
	client kubernetes.Interface
	now    func() time.Time
	nodes  cache.SharedIndexInformer
	pods   cache.SharedIndexInformer
	queue  workqueue.TypedRateLimitingInterface[cache.ObjectName]
	podIPs atomic.Uint32
}

// New makes a player that does nothing until Run.
func New(client kubernetes.Interface, selector string) *Player {
	labelled := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.LabelSelector = selector
	}))
	bound := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = "spec.nodeName!="
	}))
	return &Player{
		client: client,
		now:    time.Now,
		nodes:  labelled.Core().V1().Nodes().Informer(),
		pods:   bound.Core().V1().Pods().Informer(),
		queue:  workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[cache.ObjectName]()),
	}
}

// Run plays until ctx ends.
func (p *Player) Run(ctx context.Context) error {
	if err := p.watch(); err != nil {
		return err
	}
	defer p.queue.ShutDown()
	go p.nodes.RunWithContext(ctx)
	go p.pods.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), p.nodes.HasSynced, p.pods.HasSynced) {
		return nil // stopped before the first list came
	}
	for range workers {
		go p.work(ctx)
	}
	log.Printf("playing the kubelets of %d nodes", len(p.nodes.GetStore().List()))
	wait.UntilWithContext(ctx, p.beatAll, heartbeat)
	return nil
}

func (p *Player) watch() error {
	err := p.pods.AddIndexers(cache.Indexers{byNode: func(object any) ([]string, error) {
		return []string{object.(*v1.Pod).Spec.NodeName}, nil
	}})
	if err != nil {
		return err
	}
	if _, err = p.pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    p.enqueue,
		UpdateFunc: func(_, pod any) { p.enqueue(pod) },
	}); err != nil {
		return err
	}
	_, err = p.nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: p.nodeAppeared})
	return err
}

func (p *Player) enqueue(pod any) {
	if name, err := cache.ObjectToName(pod); err == nil {
		p.queue.Add(name)
	}
}

// nodeAppeared also wakes pods that were bound before their node was labelled.
func (p *Player) nodeAppeared(object any) {
	node := object.(*v1.Node)
	go p.beat(context.Background(), node)
	pods, err := p.pods.GetIndexer().ByIndex(byNode, node.Name)
	if err != nil {
		return
	}
	for _, pod := range pods {
		p.enqueue(pod)
	}
}

func (p *Player) work(ctx context.Context) {
	for {
		name, stopped := p.queue.Get()
		if stopped {
			return
		}
		again, err := p.sync(ctx, name)
		switch {
		case err != nil && ctx.Err() == nil:
			log.Printf("pod %s: %v", name, err)
			p.queue.AddRateLimited(name)
		case again > 0:
			p.queue.Forget(name)
			p.queue.AddAfter(name, again)
		default:
			p.queue.Forget(name)
		}
		p.queue.Done(name)
	}
}

// sync moves one pod a step on; a positive duration says when the next step is due.
func (p *Player) sync(ctx context.Context, name cache.ObjectName) (time.Duration, error) {
	pod, err := corelisters.NewPodLister(p.pods.GetIndexer()).Pods(name.Namespace).Get(name.Name)
	if apierrors.IsNotFound(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	object, simulated, err := p.nodes.GetStore().GetByKey(pod.Spec.NodeName)
	if err != nil || !simulated {
		return 0, err
	}
	step := nextStep(pod, p.now())
	switch step.kind {
	case remove:
		err = p.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
			GracePeriodSeconds: new(int64), Preconditions: metav1.NewUIDPreconditions(string(pod.UID)),
		})
	case start:
		err = p.patch(ctx, pod, running(pod, object.(*v1.Node), p.nextPodIP(), p.now()))
	case finish:
		err = p.patch(ctx, pod, succeeded(pod, p.now()))
	case nothing:
		return step.after, nil
	}
	// Gone, or another pod of the same name: what the watch brings next decides.
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return 0, nil
	}
	return 0, err
}

func (p *Player) nextPodIP() string {
	n := p.podIPs.Add(1)
	return fmt.Sprintf("10.%d.%d.%d", 128+n>>16&0x7f, n>>8&0xff, n&0xff)
}
