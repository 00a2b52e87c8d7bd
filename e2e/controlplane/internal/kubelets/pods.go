// Decides what happens to a pod next, and what its status then says.
// A pure function of the pod and the time: the API is player.go's business.
package kubelets

import (
	"context"
	"encoding/json"
	"math"
	"path"
	"strconv"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// runSecondsAnnotation on a pod says how long it runs, whatever its command.
const runSecondsAnnotation = "ai-storage.keti/run-seconds"

type stepKind int

const (
	nothing stepKind = iota
	start
	finish
	remove
)

// step is what to do now, or after how long to look again (0: when the pod changes).
type step struct {
	kind  stepKind
	after time.Duration
}

func nextStep(pod *v1.Pod, now time.Time) step {
	if pod.DeletionTimestamp != nil {
		return step{kind: remove}
	}
	switch pod.Status.Phase {
	case v1.PodPending, "":
		return step{kind: start}
	case v1.PodRunning:
		length, ends := runLength(pod)
		if !ends || pod.Status.StartTime == nil {
			return step{}
		}
		if left := pod.Status.StartTime.Add(length).Sub(now); left > 0 {
			return step{after: left}
		}
		return step{kind: finish}
	default: // finished pods stay finished
		return step{}
	}
}

// runLength says how long a pod runs, and whether it ends at all.
func runLength(pod *v1.Pod) (time.Duration, bool) {
	if pod.Spec.RestartPolicy == v1.RestartPolicyAlways || pod.Spec.RestartPolicy == "" {
		return 0, false
	}
	if text, annotated := pod.Annotations[runSecondsAnnotation]; annotated {
		return seconds(text)
	}
	var longest time.Duration
	for i := range pod.Spec.Containers {
		words := append(append([]string{}, pod.Spec.Containers[i].Command...), pod.Spec.Containers[i].Args...)
		length, ends := sleepLength(words)
		if !ends {
			return 0, false
		}
		longest = max(longest, length)
	}
	return longest, len(pod.Spec.Containers) > 0
}

// sleepLength understands `sleep N`, also inside `sh -c`.
func sleepLength(words []string) (time.Duration, bool) {
	if len(words) == 3 && words[1] == "-c" {
		words = strings.Fields(words[2])
	}
	if len(words) != 2 || path.Base(words[0]) != "sleep" {
		return 0, false
	}
	return seconds(words[1])
}

func seconds(text string) (time.Duration, bool) {
	n, err := strconv.ParseFloat(strings.TrimSuffix(text, "s"), 64)
	// A day is forever here, and the comparison refuses infinity and NaN too.
	if err != nil || !(n >= 0 && n <= 86400) {
		return 0, false
	}
	return time.Duration(math.Round(n * float64(time.Second))), true
}

// running is the status of a pod whose containers have all just started.
func running(pod *v1.Pod, node *v1.Node, podIP string, now time.Time) v1.PodStatus {
	at := metav1.NewTime(now)
	status := v1.PodStatus{
		Phase:      v1.PodRunning,
		Conditions: conditions(v1.ConditionTrue, "", at),
		StartTime:  &at,
		PodIP:      podIP,
		PodIPs:     []v1.PodIP{{IP: podIP}},
	}
	for _, address := range node.Status.Addresses {
		if address.Type == v1.NodeInternalIP && status.HostIP == "" {
			status.HostIP, status.HostIPs = address.Address, []v1.HostIP{{IP: address.Address}}
		}
	}
	for _, c := range pod.Spec.InitContainers {
		state := ended(at)
		if c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways {
			state = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: at}}
		}
		status.InitContainerStatuses = append(status.InitContainerStatuses, containerStatus(c, state, true))
	}
	for _, c := range pod.Spec.Containers {
		state := v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: at}}
		status.ContainerStatuses = append(status.ContainerStatuses, containerStatus(c, state, true))
	}
	return status
}

// succeeded is the status of a pod whose containers have all just ended well.
func succeeded(pod *v1.Pod, now time.Time) v1.PodStatus {
	at := metav1.NewTime(now)
	status := v1.PodStatus{Phase: v1.PodSucceeded, Conditions: conditions(v1.ConditionFalse, "PodCompleted", at)}
	for _, c := range pod.Spec.Containers {
		state := ended(at)
		if pod.Status.StartTime != nil {
			state.Terminated.StartedAt = *pod.Status.StartTime
		}
		status.ContainerStatuses = append(status.ContainerStatuses, containerStatus(c, state, false))
	}
	return status
}

// conditions are the kubelet's own; PodScheduled is the scheduler's and stays as it is.
func conditions(ready v1.ConditionStatus, reason string, at metav1.Time) []v1.PodCondition {
	return []v1.PodCondition{
		{Type: v1.PodReadyToStartContainers, Status: ready, LastTransitionTime: at},
		{Type: v1.PodInitialized, Status: v1.ConditionTrue, Reason: reason, LastTransitionTime: at},
		{Type: v1.PodReady, Status: ready, Reason: reason, LastTransitionTime: at},
		{Type: v1.ContainersReady, Status: ready, Reason: reason, LastTransitionTime: at},
	}
}

func containerStatus(c v1.Container, state v1.ContainerState, ready bool) v1.ContainerStatus {
	started := state.Running != nil
	return v1.ContainerStatus{
		Name: c.Name, Image: c.Image, ImageID: "simulated://" + c.Image, ContainerID: "simulated://" + c.Name,
		State: state, Ready: ready, Started: &started,
	}
}

func ended(at metav1.Time) v1.ContainerState {
	return v1.ContainerState{Terminated: &v1.ContainerStateTerminated{Reason: "Completed", StartedAt: at, FinishedAt: at}}
}

// patch merges status into the pod, only if it is still the same pod.
func (p *Player) patch(ctx context.Context, pod *v1.Pod, status v1.PodStatus) error {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID},
		"status":   status,
	})
	if err != nil {
		return err
	}
	_, err = p.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, body, metav1.PatchOptions{}, "status")
	return err
}
