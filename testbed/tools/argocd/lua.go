package main

// `argocd lua` runs Argo CD's own Lua engine on objects, with the scripts of an argocd-cm as Argo CD itself reads them.
//
// The namespace holds the ConfigMap. Each line of the input is a request in JSON, each line of the output its answer:
//
//	{"object": {...}}                       -> {"status": "Healthy", "message": "..."}
//	{"object": {...}, "discover": true}     -> {"actions": [{"name": "approve", "disabled": false, ...}]}
//	{"object": {...}, "action": "approve"}  -> {"object": {...}, "patch": {...}}: what Argo CD would patch with
//
// What Argo CD refuses is {"error": "..."}.

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"github.com/argoproj/argo-cd/v3/util/settings"
	jsonpatch "github.com/evanphx/json-patch"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

type request struct {
	Object   map[string]any `json:"object"`
	Discover bool           `json:"discover"`
	Action   string         `json:"action"`
}

type answer struct {
	Status  string                    `json:"status,omitempty"`
	Message string                    `json:"message,omitempty"`
	Actions []v1alpha1.ResourceAction `json:"actions,omitempty"`
	Object  map[string]any            `json:"object,omitempty"`
	Patch   json.RawMessage           `json:"patch,omitempty"`
	Error   string                    `json:"error,omitempty"`
}

func serve(arguments []string) error {
	if len(arguments) != 2 {
		return errors.New("usage: argocd lua KUBECONFIG NAMESPACE")
	}
	overrides, err := configured(arguments[0], arguments[1])
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	for decoder := json.NewDecoder(os.Stdin); decoder.More(); {
		var asked request
		if err := decoder.Decode(&asked); err != nil {
			return err
		}
		said, err := answerTo(asked, overrides)
		if err != nil {
			said = answer{Error: err.Error()}
		}
		if err := out.Encode(said); err != nil {
			return err
		}
	}
	return nil
}

// configured reads the customizations from the ConfigMap argocd-cm, as the application controller does.
func configured(kubeconfig, namespace string) (map[string]v1alpha1.ResourceOverride, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return settings.NewSettingsManager(context.Background(), client, namespace).GetResourceOverrides()
}

func answerTo(asked request, overrides map[string]v1alpha1.ResourceOverride) (answer, error) {
	object := &unstructured.Unstructured{Object: asked.Object}
	vm := lua.VM{ResourceOverrides: overrides}
	switch {
	case asked.Discover:
		scripts, err := vm.GetResourceActionDiscovery(object)
		if err != nil {
			return answer{}, err
		}
		actions, err := vm.ExecuteResourceActionDiscovery(object, scripts)
		return answer{Actions: actions}, err
	case asked.Action != "":
		return act(vm, object, asked.Action)
	}
	health, err := lua.ResourceHealthOverrides(overrides).GetResourceHealth(object)
	if err != nil {
		return answer{}, err
	}
	if health == nil {
		return answer{}, fmt.Errorf("argocd-cm has no health script for %s", object.GroupVersionKind())
	}
	return answer{Status: string(health.Status), Message: health.Message}, nil
}

// act returns what an action makes of an object, and the merge patch by which Argo CD's server writes it.
func act(vm lua.VM, object *unstructured.Unstructured, name string) (answer, error) {
	action, err := vm.GetResourceAction(object, name)
	if err != nil {
		return answer{}, err
	}
	before, err := json.Marshal(object)
	if err != nil {
		return answer{}, err
	}
	impacted, err := vm.ExecuteResourceAction(object, action.ActionLua, nil)
	if err != nil {
		return answer{}, err
	}
	if len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		return answer{}, fmt.Errorf("%s does more than patch the object", name)
	}
	made := impacted[0].UnstructuredObj
	after, err := json.Marshal(made)
	if err != nil {
		return answer{}, err
	}
	patch, err := jsonpatch.CreateMergePatch(before, after)
	return answer{Object: made.Object, Patch: patch}, err
}
