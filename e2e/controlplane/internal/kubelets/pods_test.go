// What a simulated pod does next, row by row.
// No API server here: the e2e tests and the quick start run the player against a real one.
package kubelets

import (
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func pod(policy v1.RestartPolicy, command ...string) *v1.Pod {
	return &v1.Pod{Spec: v1.PodSpec{RestartPolicy: policy, Containers: []v1.Container{{Name: "c", Command: command}}}}
}

func runningSince(p *v1.Pod, start time.Time) *v1.Pod {
	at := metav1.NewTime(start)
	p.Status.Phase, p.Status.StartTime = v1.PodRunning, &at
	return p
}

func annotated(p *v1.Pod, seconds string) *v1.Pod {
	p.Annotations = map[string]string{runSecondsAnnotation: seconds}
	return p
}

func TestNextStep(t *testing.T) {
	deleted := runningSince(pod(v1.RestartPolicyNever, "sleep", "5"), noon)
	deleted.DeletionTimestamp = &metav1.Time{Time: noon}
	done := pod(v1.RestartPolicyNever, "sleep", "5")
	done.Status.Phase = v1.PodSucceeded
	two := runningSince(pod(v1.RestartPolicyNever, "sleep", "5"), noon)
	two.Spec.Containers = append(two.Spec.Containers, v1.Container{Name: "d", Command: []string{"server"}})

	for fact, row := range map[string]struct {
		pod  *v1.Pod
		now  time.Time
		want step
	}{
		"a bound pod starts":                        {pod(v1.RestartPolicyNever), noon, step{kind: start}},
		"a sleeping pod is looked at when it wakes": {runningSince(pod(v1.RestartPolicyNever, "sleep", "5"), noon), noon.Add(2 * time.Second), step{after: 3 * time.Second}},
		"a pod that slept enough finishes":          {runningSince(pod(v1.RestartPolicyOnFailure, "/bin/sleep", "5"), noon), noon.Add(5 * time.Second), step{kind: finish}},
		"sleep in a shell counts":                   {runningSince(pod(v1.RestartPolicyNever, "sh", "-c", "sleep 1.5"), noon), noon, step{after: 1500 * time.Millisecond}},
		"restartPolicy Always keeps running":        {runningSince(annotated(pod(v1.RestartPolicyAlways, "sleep", "5"), "1"), noon), noon.Add(time.Hour), step{}},
		"the annotation beats the command":          {runningSince(annotated(pod(v1.RestartPolicyNever, "sleep", "300"), "1"), noon), noon.Add(time.Second), step{kind: finish}},
		"an annotation that is no number: forever":  {runningSince(annotated(pod(v1.RestartPolicyNever, "sleep", "5"), "soon"), noon), noon.Add(time.Hour), step{}},
		"sleep infinity never ends":                 {runningSince(pod(v1.RestartPolicyNever, "sleep", "infinity"), noon), noon.Add(time.Hour), step{}},
		"one endless container keeps the pod":       {two, noon.Add(time.Hour), step{}},
		"a deleted pod is removed":                  {deleted, noon, step{kind: remove}},
		"a finished pod stays":                      {done, noon, step{}},
	} {
		t.Run(fact, func(t *testing.T) {
			if got := nextStep(row.pod, row.now); got != row.want {
				t.Errorf("got %+v, want %+v", got, row.want)
			}
		})
	}
}

func TestStatusSaysWhatAKubeletWouldSay(t *testing.T) {
	p := pod(v1.RestartPolicyNever, "sleep", "5")
	p.Spec.InitContainers = []v1.Container{{Name: "init"}}
	node := &v1.Node{Status: v1.NodeStatus{Addresses: []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: "192.0.2.1"}}}}

	got := running(p, node, "10.128.0.1", noon)
	if got.Phase != v1.PodRunning || got.HostIP != "192.0.2.1" || got.PodIP != "10.128.0.1" || !got.StartTime.Time.Equal(noon) {
		t.Errorf("running: %+v", got)
	}
	if c := got.ContainerStatuses; len(c) != 1 || c[0].State.Running == nil || !c[0].Ready {
		t.Errorf("running containers: %+v", c)
	}
	if c := got.InitContainerStatuses; len(c) != 1 || c[0].State.Terminated == nil {
		t.Errorf("init containers: %+v", c)
	}

	p.Status = got
	got = succeeded(p, noon.Add(5*time.Second))
	if c := got.ContainerStatuses; got.Phase != v1.PodSucceeded || len(c) != 1 || c[0].State.Terminated == nil || c[0].Ready {
		t.Errorf("succeeded: %+v", got)
	}
	for _, condition := range append(running(p, node, "", noon).Conditions, got.Conditions...) {
		if condition.Type == v1.PodScheduled {
			t.Errorf("the kubelet must not write PodScheduled")
		}
	}
}

func TestReportIsDue(t *testing.T) {
	node := func(status v1.ConditionStatus, last time.Time) *v1.Node {
		return &v1.Node{Status: v1.NodeStatus{Conditions: []v1.NodeCondition{
			{Type: v1.NodeReady, Status: status, LastHeartbeatTime: metav1.NewTime(last)},
		}}}
	}
	for fact, row := range map[string]struct {
		node *v1.Node
		want bool
	}{
		"for a node without conditions":    {&v1.Node{}, true},
		"for a node that is not ready":     {node(v1.ConditionFalse, noon), true},
		"when the last one is old":         {node(v1.ConditionTrue, noon.Add(-reportEvery)), true},
		"not when the last one is current": {node(v1.ConditionTrue, noon.Add(-time.Minute)), false},
	} {
		t.Run(fact, func(t *testing.T) {
			if got := reportDue(row.node, noon); got != row.want {
				t.Errorf("got %v, want %v", got, row.want)
			}
		})
	}
}
