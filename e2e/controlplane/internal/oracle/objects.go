// Reads a scenario: objects as an API server would have stored them, and the scheduler's configuration.
// Leaves out what is made of them.
package oracle

import (
	"context"
	"encoding/json"
	"fmt"

	v1 "k8s.io/api/core/v1"
	resourcev1 "k8s.io/api/resource/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
	_ "k8s.io/kubernetes/pkg/apis/apps/install"
	api "k8s.io/kubernetes/pkg/apis/core"
	_ "k8s.io/kubernetes/pkg/apis/core/install"
	_ "k8s.io/kubernetes/pkg/apis/policy/install"
	_ "k8s.io/kubernetes/pkg/apis/storage/install"
	podregistry "k8s.io/kubernetes/pkg/registry/core/pod"
	"k8s.io/kubernetes/pkg/scheduler/apis/config"
	schedulerscheme "k8s.io/kubernetes/pkg/scheduler/apis/config/scheme"
)

const defaultConfig = `{"apiVersion":"kubescheduler.config.k8s.io/v1","kind":"KubeSchedulerConfiguration"}`

type scenario struct {
	Name string
	// objects are all but the pods that have ended, which kube-scheduler does not watch.
	objects  []runtime.Object
	profiles []config.KubeSchedulerProfile
	// orderOnly asks for the order of the queue alone.
	orderOnly  bool
	hasVolumes bool
}

func read(line []byte) (scenario, error) {
	var text struct {
		Name      string            `json:"name"`
		OrderOnly bool              `json:"orderOnly"`
		Config    json.RawMessage   `json:"config"`
		Objects   []json.RawMessage `json:"objects"`
	}
	if err := json.Unmarshal(line, &text); err != nil {
		return scenario{}, fmt.Errorf("the scenario is no JSON: %w", err)
	}
	s := scenario{Name: text.Name, orderOnly: text.OrderOnly}
	if len(text.Config) == 0 || string(text.Config) == "null" {
		text.Config = json.RawMessage(defaultConfig)
	}
	decoded, _, err := schedulerscheme.Codecs.UniversalDecoder().Decode(text.Config, nil, nil)
	if err != nil {
		return s, fmt.Errorf("config: %w", err)
	}
	configuration, is := decoded.(*config.KubeSchedulerConfiguration)
	if !is {
		return s, fmt.Errorf("config: a %T, expected a KubeSchedulerConfiguration", decoded)
	}
	s.profiles = configuration.Profiles
	for i, raw := range text.Objects {
		object, err := stored(raw)
		if err != nil {
			return s, fmt.Errorf("object %d: %w", i+1, err)
		}
		switch object := object.(type) {
		case *v1.Pod:
			if object.Status.Phase == v1.PodSucceeded || object.Status.Phase == v1.PodFailed {
				continue
			}
		case *v1.PersistentVolume, *v1.PersistentVolumeClaim, *resourcev1.ResourceClaim:
			s.hasVolumes = true
		}
		s.objects = append(s.objects, object)
	}
	return s, nil
}

// stored gives an object what an API server gives it when it stores it.
func stored(raw json.RawMessage) (runtime.Object, error) {
	object, _, err := legacyscheme.Codecs.UniversalDeserializer().Decode(raw, nil, nil)
	if err != nil {
		return nil, err
	}
	legacyscheme.Scheme.Default(object)
	if pod, is := object.(*v1.Pod); is {
		if object, err = storedPod(pod); err != nil {
			return nil, fmt.Errorf("pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
	}
	meta := object.(metav1.Object)
	if meta.GetUID() == "" {
		meta.SetUID(types.UID(meta.GetNamespace() + "/" + meta.GetName()))
	}
	return object, nil
}

// storedPod prepares and validates a pod, keeping the status that kubelets and controllers would have written since.
func storedPod(pod *v1.Pod) (*v1.Pod, error) {
	var internal api.Pod
	if err := legacyscheme.Scheme.Convert(pod, &internal, nil); err != nil {
		return nil, err
	}
	podregistry.Strategy.PrepareForCreate(context.Background(), &internal)
	if errs := podregistry.Strategy.Validate(context.Background(), &internal); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	var result v1.Pod
	if err := legacyscheme.Scheme.Convert(&internal, &result, nil); err != nil {
		return nil, err
	}
	status := result.Status
	result.Status = pod.Status
	result.TypeMeta = pod.TypeMeta
	if result.Status.Phase == "" {
		result.Status.Phase = status.Phase
	}
	return &result, nil
}
