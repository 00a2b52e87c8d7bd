// Package oracle asks kube-scheduler's own code what it makes of a scenario: verdicts, reasons, scores, message, victims.
// It runs one scheduling cycle per pod on a client without a server, and binds nothing; objects.go reads the scenario.
package oracle

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sort"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/events"
	"k8s.io/klog/v2"
	fwk "k8s.io/kube-scheduler/framework"
	"k8s.io/kubernetes/pkg/features"
	"k8s.io/kubernetes/pkg/scheduler"
	"k8s.io/kubernetes/pkg/scheduler/backend/cache"
	"k8s.io/kubernetes/pkg/scheduler/framework"
	"k8s.io/kubernetes/pkg/scheduler/profile"
)

// A line of a scenario file is at most so long.
const maxLine = 16 << 20

// Answer is what kube-scheduler makes of one scenario.
type Answer struct {
	Name string `json:"name"`
	// Order is the order in which the pods left the queue.
	Order []string `json:"order"`
	// Pods are the verdicts in that order, each on the cluster as it was given.
	Pods []Verdict `json:"pods"`
	// Error says why the scenario cannot be used: an API server would refuse it.
	Error string `json:"error,omitempty"`
}

// Verdict is what one cycle makes of one pod.
type Verdict struct {
	Pod string `json:"pod"`
	// Message is the whole message of a pod that fits nowhere.
	Message string `json:"message,omitempty"`
	// Error is what stopped the cycle.
	Error     string          `json:"error,omitempty"`
	Nominated string          `json:"nominated,omitempty"`
	Victims   []string        `json:"victims,omitempty"`
	Nodes     map[string]Node `json:"nodes"`
}

// Node is one node's part: reasons against it, or what each plugin gives it, weight included.
type Node struct {
	Plugin  string           `json:"plugin,omitempty"`
	Reasons []string         `json:"reasons,omitempty"`
	Scores  map[string]int64 `json:"scores,omitempty"`
	Total   *int64           `json:"total,omitempty"`
	// Devices are what the pod's claims would get here.
	Devices []string `json:"devices,omitempty"`
}

// Run reads a scenario per line and writes an answer per line, in the same order; gates are set as kube-scheduler's flag sets them.
func Run(in io.Reader, out io.Writer, gates string) error {
	// Victims are to be gone when the cycle ends, so that they can be told.
	gates += fmt.Sprintf(",%s=false", features.SchedulerAsyncPreemption)
	if err := utilfeature.DefaultMutableFeatureGate.Set(gates); err != nil {
		return err
	}
	klog.SetLogger(klog.Logger{})
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	// Cycles wait for informers more than they compute.
	slots := make(chan struct{}, 8*runtime.GOMAXPROCS(0))
	answers := make(chan chan Answer, cap(slots))
	go func() {
		defer close(answers)
		for lines.Scan() {
			line, answer := append([]byte(nil), lines.Bytes()...), make(chan Answer, 1)
			answers <- answer
			slots <- struct{}{}
			go func() {
				answer <- ask(line)
				<-slots
			}()
		}
	}()
	writer := bufio.NewWriter(out)
	encoder := json.NewEncoder(writer)
	for answer := range answers {
		if err := encoder.Encode(<-answer); err != nil {
			return err
		}
	}
	return errors.Join(lines.Err(), writer.Flush())
}

func ask(line []byte) (answer Answer) {
	scenario, err := read(line)
	answer.Name = scenario.Name
	if err == nil {
		err = answer.fill(scenario)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	return answer
}

func (a *Answer) fill(s scenario) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	client := fake.NewSimpleClientset(s.objects...)
	informers := scheduler.NewInformerFactory(client, 0, nil)
	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	snapshot := cache.NewEmptySnapshot()
	sched, err := scheduler.New(ctx, client, informers, nil, profile.NewRecorderFactory(broadcaster),
		scheduler.WithNodeInfoSnapshot(snapshot), scheduler.WithProfiles(s.profiles...), scheduler.WithParallelism(1))
	if err != nil {
		return err
	}
	defer sched.SchedulingQueue.Close()
	defer settle.wait(informers.Shutdown)
	defer cancel()
	informers.Start(ctx.Done())
	informers.WaitForCacheSync(ctx.Done())
	if err := sched.WaitForHandlersSync(ctx); err != nil {
		return err
	}
	if s.hasVolumes {
		// The assume caches of volumes are told by goroutines of their own, which nothing says are done.
		time.Sleep(50 * time.Millisecond)
	}
	logger := klog.FromContext(ctx)
	for range sched.SchedulingQueue.PodsInActiveQ() {
		next, err := sched.NextEntity(logger)
		if err != nil {
			return err
		}
		next.ForEachPodInfo(func(info *framework.QueuedPodInfo) bool {
			a.Order = append(a.Order, info.Pod.Namespace+"/"+info.Pod.Name)
			if s.orderOnly {
				return true
			}
			if err = sched.Cache.UpdateSnapshot(logger, snapshot); err != nil {
				return false
			}
			client.ClearActions()
			var verdict Verdict
			verdict, err = judge(ctx, sched, snapshot, info)
			verdict.Victims = deleted(client.Actions())
			a.Pods = append(a.Pods, verdict)
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// judge runs the cycle as kube-scheduler does, and then asks again for what a cycle does not tell: every node's reasons and scores.
func judge(ctx context.Context, sched *scheduler.Scheduler, snapshot *cache.Snapshot, info *framework.QueuedPodInfo) (Verdict, error) {
	pod := info.Pod
	verdict := Verdict{Pod: pod.Namespace + "/" + pod.Name, Nodes: map[string]Node{}}
	plugins, known := sched.Profiles[pod.Spec.SchedulerName]
	if !known {
		return verdict, fmt.Errorf("no profile for scheduler %q", pod.Spec.SchedulerName)
	}
	state := newState()
	_, err := sched.SchedulePod(ctx, plugins, state, info)
	var fit *framework.FitError
	switch {
	case errors.As(err, &fit):
		result, status := plugins.RunPostFilterPlugins(ctx, state, pod, fit.Diagnosis.NodeToStatus)
		fit.Diagnosis.PostFilterMsg = status.Message()
		verdict.Message = fit.Error()
		if result != nil && result.NominatingInfo != nil {
			verdict.Nominated = result.NominatedNodeName
		}
	case errors.Is(err, scheduler.ErrNoNodesAvailable):
		verdict.Message = err.Error()
		return verdict, nil
	case err != nil:
		verdict.Error = err.Error()
		return verdict, nil
	}
	return verdict, verdict.explain(ctx, plugins, snapshot, pod, fit)
}

func (v *Verdict) explain(ctx context.Context, plugins framework.Framework, snapshot *cache.Snapshot, pod *v1.Pod, fit *framework.FitError) error {
	nodes, err := snapshot.NodeInfos().List()
	if err != nil {
		return err
	}
	state := newState()
	narrowed, status, _ := plugins.RunPreFilterPlugins(ctx, state, pod)
	var feasible []fwk.NodeInfo
	for _, node := range nodes {
		name := node.Node().Name
		against := status
		switch {
		case !status.IsSuccess():
		case !narrowed.AllNodes() && !narrowed.NodeNames.Has(name) && fit != nil:
			against = fit.Diagnosis.NodeToStatus.Get(name)
		case !narrowed.AllNodes() && !narrowed.NodeNames.Has(name):
			continue // a cycle that finds a node says nothing of those that were never looked at
		default:
			against = plugins.RunFilterPluginsWithNominatedPods(ctx, state, pod, node)
		}
		if against.IsSuccess() {
			feasible = append(feasible, node)
			continue
		}
		v.Nodes[name] = Node{Plugin: against.Plugin(), Reasons: against.Reasons()}
	}
	if fit != nil || len(feasible) == 0 {
		return nil
	}
	return v.score(ctx, plugins, state, pod, feasible)
}

func (v *Verdict) score(ctx context.Context, plugins framework.Framework, state fwk.CycleState, pod *v1.Pod, feasible []fwk.NodeInfo) error {
	if status := plugins.RunPreScorePlugins(ctx, state, pod, feasible); !status.IsSuccess() {
		return status.AsError()
	}
	scored, status := plugins.RunScorePlugins(ctx, state, pod, feasible)
	if !status.IsSuccess() {
		return status.AsError()
	}
	for _, node := range scored {
		scores := map[string]int64{}
		for _, plugin := range node.Scores {
			scores[plugin.Name] = plugin.Score
		}
		v.Nodes[node.Name] = Node{Scores: scores, Total: &node.TotalScore, Devices: devices(ctx, plugins, state, pod, node.Name)}
	}
	return nil
}

// devices reserves what the pod's claims would get on a node, and gives it back: claim, request, pool and device of each.
func devices(ctx context.Context, plugins framework.Framework, state fwk.CycleState, pod *v1.Pod, node string) []string {
	if len(pod.Spec.ResourceClaims) == 0 {
		return nil
	}
	if status := plugins.RunReservePluginsReserve(ctx, state, pod, node); !status.IsSuccess() {
		return []string{status.Message()}
	}
	defer plugins.RunReservePluginsUnreserve(ctx, state, pod, node)
	var all []string
	claims := plugins.SharedDRAManager().ResourceClaims()
	for _, own := range pod.Spec.ResourceClaims {
		claim, err := claims.Get(pod.Namespace, *own.ResourceClaimName)
		if err != nil {
			return []string{err.Error()}
		}
		allocation := claims.GetPendingAllocation(claim.UID)
		if allocation == nil {
			continue
		}
		for _, result := range allocation.Devices.Results {
			all = append(all, fmt.Sprintf("%s %s %s/%s", claim.Name, result.Request, result.Pool, result.Device))
		}
	}
	return all
}

func newState() *framework.CycleState {
	state := framework.NewCycleState()
	state.Write(framework.PodsToActivateKey, framework.NewPodsToActivate())
	return state
}

// deleted names the pods that were deleted, sorted.
func deleted(actions []clienttesting.Action) []string {
	var names []string
	for _, action := range actions {
		if deletion, is := action.(clienttesting.DeleteAction); is && action.GetResource().Resource == "pods" {
			names = append(names, deletion.GetNamespace()+"/"+deletion.GetName())
		}
	}
	sort.Strings(names)
	return names
}

// ending lets informers end beside the next scenarios.
type ending struct{ group sync.WaitGroup }

var settle ending

func (e *ending) wait(end func()) { e.group.Go(end) }
