// Keeps nodes alive: leases and conditions, at the real kubelet's pace.
// Capacity, labels and taints are the creator's business and stay as they are.
package kubelets

import (
	"context"
	"encoding/json"
	"log"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

const (
	leaseSeconds = 40
	// The real kubelet reports an unchanged status this rarely; each report is an event for every scheduler.
	reportEvery = 5 * time.Minute
)

func (p *Player) beatAll(ctx context.Context) {
	for _, object := range p.nodes.GetStore().List() {
		p.beat(ctx, object.(*v1.Node))
	}
}

func (p *Player) beat(ctx context.Context, node *v1.Node) {
	err := p.renewLease(ctx, node)
	if err == nil && reportDue(node, p.now()) {
		err = p.reportReady(ctx, node)
	}
	if err != nil && !apierrors.IsNotFound(err) && ctx.Err() == nil {
		log.Printf("node %s: %v", node.Name, err)
	}
}

func (p *Player) renewLease(ctx context.Context, node *v1.Node) error {
	leases := p.client.CoordinationV1().Leases(v1.NamespaceNodeLease)
	now, seconds := metav1.NewMicroTime(p.now()), int32(leaseSeconds)
	spec := coordinationv1.LeaseSpec{HolderIdentity: &node.Name, LeaseDurationSeconds: &seconds, RenewTime: &now}
	lease, err := leases.Get(ctx, node.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		owner := metav1.OwnerReference{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}
		_, err = leases.Create(ctx, &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: node.Name, OwnerReferences: []metav1.OwnerReference{owner}},
			Spec:       spec,
		}, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil // the first beat and the regular one met
		}
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec = spec
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}

func reportDue(node *v1.Node, now time.Time) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == v1.NodeReady {
			return condition.Status != v1.ConditionTrue || now.Sub(condition.LastHeartbeatTime.Time) >= reportEvery
		}
	}
	return true
}

func (p *Player) reportReady(ctx context.Context, node *v1.Node) error {
	now := metav1.NewTime(p.now())
	condition := func(kind v1.NodeConditionType, status v1.ConditionStatus, reason string) v1.NodeCondition {
		since := now
		for _, old := range node.Status.Conditions {
			if old.Type == kind && old.Status == status && !old.LastTransitionTime.IsZero() {
				since = old.LastTransitionTime
			}
		}
		return v1.NodeCondition{Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: since}
	}
	// A strategic merge replaces conditions by type, and leaves capacity and the rest alone.
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []v1.NodeCondition{
		condition(v1.NodeReady, v1.ConditionTrue, "KubeletReady"),
		condition(v1.NodeMemoryPressure, v1.ConditionFalse, "KubeletHasSufficientMemory"),
		condition(v1.NodeDiskPressure, v1.ConditionFalse, "KubeletHasNoDiskPressure"),
		condition(v1.NodePIDPressure, v1.ConditionFalse, "KubeletHasSufficientPID"),
	}}})
	if err != nil {
		return err
	}
	_, err = p.client.CoreV1().Nodes().Patch(ctx, node.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}
