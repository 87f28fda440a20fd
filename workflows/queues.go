package workflows

import (
	"mirrorcycle/activities"
	"mirrorcycle/mirrorspec"
)

// Queue is the task queue of all workflows.
const Queue = "mirrorcycle"

// SyncQueue serves the activities that touch the trees of a storage.
func SyncQueue(storage string) string { return "sync-" + storage }

// FetchQueue serves the downloads into the trees of a storage. They have slots
// of their own, so that a first sync that takes days leaves every other step of
// every other mirror free.
func FetchQueue(storage string) string { return "fetch-" + storage }

// RegionQueue serves the activities that touch a region: its own host's if it
// pulls, the cell's if it is an AFS site (only workers there have the right to
// release), else that of the storage whose file system it shares.
func RegionQueue(t activities.Target, r mirrorspec.Region) string {
	switch {
	case r.Pull:
		return ReleaseQueue(r.Name)
	case r.AFS != nil && t.AFS != nil:
		return ReleaseQueue(t.AFS.Cell)
	}
	return SyncQueue(t.Storage.Name)
}

// ReleaseQueue serves the activities on the host of a region that pulls, or
// those with the rights to release the volumes of an AFS cell.
func ReleaseQueue(region string) string { return "release-" + region }

// WheelsQueue serves the builds for a platform.
func WheelsQueue(platform string) string { return "wheels-" + platform }

// WheelsID is the workflow ID of the builds for a platform of the wheels mirror that keeps tree.
func WheelsID(tree, platform string) string { return "wheels/" + tree + "/" + platform }

// CycleID is the workflow ID of an on-demand cycle.
func CycleID(cycle string) string { return "cycle/" + cycle }

// PassID is the workflow ID of what a mirror does in one cycle, which has an ID of its own.
func PassID(cycle, mirror string) string { return "mirror/" + cycle + "/" + mirror }

// RefreshID is the workflow ID of what brings a tree up to date.
func RefreshID(tree string) string { return "refresh/" + tree }

// ServeID is the workflow ID of what serves a tree in a group of regions.
func ServeID(tree, group string) string { return "serve/" + tree + "/" + group }

// NotifyID is the workflow ID of what tells a webhook about a cycle.
func NotifyID(cycle string) string { return "notify/" + cycle }

// AskID is the workflow ID of a question about, or a command to, a mirror.
func AskID(mirror, unique string) string { return "ask/" + mirror + "/" + unique }

// All lists the workflows with the names under which they are registered.
func All() map[string]any {
	return map[string]any{"MirrorCycle": MirrorCycle, "Mirror": Mirror, "Refresh": Refresh, "Serve": Serve, "Wheels": Wheels, "Notify": Notify, "Ask": Ask}
}
