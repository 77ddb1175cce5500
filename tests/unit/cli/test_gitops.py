"""Whether somebody takes back what the CLI writes: as the owners of the field say."""

from typing import Any

from kubectl_modelfleet import gitops

Json = dict[str, Any]
FLUX = {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}
PAUSED = ("spec", "paused")


def rollout(*owners: str, labels: Json | None = None, annotations: Json | None = None, **more: Any) -> Json:
    entries = [{"manager": name, "fieldsV1": {"f:spec": {"f:paused": {}}}, **more} for name in owners]
    other = {"manager": "kustomize-controller", "fieldsV1": {"f:spec": {"f:model": {}}}}
    metadata = {"labels": labels or {}, "annotations": annotations or {}, "managedFields": [*entries, other]}
    return {"metadata": metadata}


def test_nobody_else():
    assert gitops.warning(rollout(), PAUSED) == ""
    assert gitops.warning(rollout("modelfleet-cli"), PAUSED) == ""
    assert gitops.warning({"metadata": {}}, PAUSED) == ""


def test_an_applier_that_does_not_set_the_field_leaves_it_alone():
    said = gitops.warning(rollout("modelfleet-cli", labels=FLUX), PAUSED)
    assert said == (
        "Flux Kustomization flux-system/apps applies this object and does not set spec.paused: it stays as it is now."
    )
    argo = {"argocd.argoproj.io/tracking-id": "shop:modelfleet.dev/Rollout:factory/line"}
    assert gitops.warning(rollout(annotations=argo), PAUSED).startswith("Argo CD application shop applies this object")


def test_one_that_sets_it_takes_it_back():
    said = gitops.warning(rollout("kustomize-controller", labels=FLUX), PAUSED)
    assert "spec.paused is also set by kustomize-controller (Flux Kustomization flux-system/apps)" in said
    assert "in the manifest (in Git) as well. Or stop Flux for a while: flux suspend kustomization apps" in said
    said = gitops.warning(rollout("argocd-controller"), PAUSED)
    assert "also set by argocd-controller, which puts its own value back" in said
    assert "flux" not in said
    helm = {"helm.toolkit.fluxcd.io/name": "line", "helm.toolkit.fluxcd.io/namespace": "apps"}
    assert "(Flux HelmRelease apps/line)" in gitops.warning(rollout("helm-controller", labels=helm), PAUSED)


def test_the_status_of_the_operator_is_no_owner():
    assert gitops.warning(rollout("modelfleet", subresource="status"), PAUSED) == ""
