package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/containerd/log"
	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// work is one file in one pass.
type work struct {
	file File
	docs []Document
	refs []Ref   // of docs, by index, as soon as they are applied
	errs []error // of docs, by index
	err  error   // all problems of the file
}

// asked are the objects that the file holds, whether or not they could be
// applied.
func (w *work) asked() []Ref {
	refs := make([]Ref, len(w.docs))
	for i, doc := range w.docs {
		refs[i] = refOf(doc.Object)
	}
	return refs
}

// pass brings the cluster to what is on disk, for the files that need it. It
// reports whether something has to be tried again.
func (d *Deploy) pass(ctx context.Context, files []File) (again bool, err error) {
	if d.known == nil {
		if d.known, err = d.cluster.addons(ctx); err != nil {
			return true, err
		}
	}
	d.cluster.begin()
	var todo []*work
	d.onDisk = map[string]bool{}
	for _, f := range files {
		d.onDisk[f.Path] = true
		if d.settled(f) {
			continue
		}
		w := &work{file: f}
		if !f.Skipped {
			w.err = f.Err
			if w.err == nil {
				w.docs, w.err = Parse(f.Path, f.Data)
			}
			w.refs, w.errs = make([]Ref, len(w.docs)), make([]error, len(w.docs))
		}
		todo = append(todo, w)
	}
	for _, w := range todo {
		if err := d.intend(ctx, w); err != nil {
			return true, err
		}
	}
	d.applyAll(ctx, todo)
	d.wanted = map[string][]Ref{}
	for _, w := range todo {
		if !w.file.Skipped && w.file.Err == nil {
			asked := w.asked()
			if w.err != nil { // it may hold more than could be read
				asked = merge(d.known[w.file.Path].Objects, asked)
			}
			d.wanted[w.file.Path] = asked
		}
	}
	for _, w := range todo {
		if ctx.Err() != nil {
			return true, ctx.Err()
		}
		if err := d.conclude(ctx, w); err != nil {
			// Not found: the definition of Addons was applied in this pass,
			// and is served in a moment.
			at := logrus.WarnLevel
			if apierrors.IsNotFound(err) {
				at = logrus.DebugLevel
			}
			log.G(ctx).WithError(err).WithField("path", w.file.Path).Log(at, "state of a manifest was not written")
			again = true
		}
		again = again || w.err != nil
	}
	gone, err := d.forget(ctx)
	return again || gone, err
}

// settled says that the file was applied, as it is, since kelp started.
func (d *Deploy) settled(f File) bool {
	a, ok := d.done[f.Path]
	return ok && a.Hash == f.Hash && a.State != Failed && (a.State == Skipped) == f.Skipped
}

// intend writes down what the file is about to make: kelp may end before it
// has said what it made, and the file may be gone when it starts again.
func (d *Deploy) intend(ctx context.Context, w *work) error {
	path := w.file.Path
	before := d.known[path]
	var objects []Ref
	for _, doc := range w.docs {
		// What has no kind yet is applied, and noted, in a later pass.
		if r, err := d.cluster.resolve(doc.Object); err == nil {
			objects = append(objects, r)
		}
	}
	all := merge(before.Objects, objects)
	if len(all) == len(before.Objects) {
		return nil
	}
	now := Addon{Name: addonName(path), File: path, Hash: w.file.Hash, Applied: time.Now(), State: Applying, Objects: all}
	if err := d.cluster.note(ctx, now); err != nil {
		if apierrors.IsNotFound(err) {
			return nil // the definition of Addons is among what is to be applied
		}
		return err
	}
	d.known[path] = now
	return nil
}

// applyAll applies the documents of all files, phase by phase.
func (d *Deploy) applyAll(ctx context.Context, todo []*work) {
	type item struct{ w, doc int }
	var items []item
	var refs []Ref
	for n, w := range todo {
		for i, doc := range w.docs {
			items = append(items, item{n, i})
			refs = append(refs, refOf(doc.Object))
		}
	}
	for _, group := range inPhases(refs, false) {
		_ = each(group, func(i int) error { // every error is its file's
			w, doc := todo[items[i].w], todo[items[i].w].docs[items[i].doc]
			ref, err := d.cluster.apply(ctx, doc.Object)
			if err != nil {
				w.errs[items[i].doc] = fmt.Errorf("%s: document %d, line %d: %s: %w", w.file.Path, doc.Number, doc.Line, refOf(doc.Object), err)
				return nil
			}
			w.refs[items[i].doc] = ref
			return nil
		})
	}
	for _, w := range todo {
		// In the order of the file, so that two passes say the same.
		w.err = errors.Join(append([]error{w.err}, w.errs...)...)
	}
}

// conclude prunes what the file no longer holds, and writes its Addon.
func (d *Deploy) conclude(ctx context.Context, w *work) error {
	path := w.file.Path
	before, seen := d.known[path]
	now := Addon{Name: addonName(path), File: path, Hash: w.file.Hash, Applied: time.Now(), State: Applied}
	made := slices.DeleteFunc(slices.Clone(w.refs), func(r Ref) bool { return r.Kind == "" })
	var pruned []Ref
	switch {
	case w.file.Skipped:
		now.State, now.Objects = Skipped, before.Objects
	case w.err == nil:
		pruned = stale(before.Objects, made, func(r Ref) bool { return d.claimed(path, r) })
		if err := d.removeAll(ctx, pruned); err != nil {
			w.err = err
			made = merge(made, pruned)
		}
		now.Objects = sorted(made)
	default:
		now.Objects = merge(before.Objects, made)
	}
	if w.err != nil {
		now.State, now.Message = Failed, w.err.Error()
	} else if other, r, twice := d.contested(path, made); twice {
		now.Message = fmt.Sprintf("%s is also in %s: the file that is applied last wins", r, other)
	}
	d.done[path] = now
	if now.same(before) {
		return nil
	}
	d.tell(ctx, now, pruned)
	d.known[path] = now
	message := now.Message
	if message == "" {
		message = fmt.Sprintf("%d objects, %d pruned", len(now.Objects), len(pruned))
	}
	if err := d.cluster.record(ctx, now, message); err != nil {
		delete(d.done, path) // so that it is written in the next pass
		if d.known[path] = before; !seen {
			delete(d.known, path)
		}
		return err
	}
	return nil
}

func (d *Deploy) tell(ctx context.Context, a Addon, pruned []Ref) {
	entry := log.G(ctx).WithField("path", a.File).WithField("objects", len(a.Objects))
	switch {
	case a.State == Failed:
		entry.WithField("error", a.Message).Warn("manifest failed")
	case len(pruned) > 0:
		entry.WithField("pruned", len(pruned)).Info("manifest applied")
	default:
		entry.Debug("manifest applied")
	}
}

// claimed says whether another file has the object, or asks for it in this
// pass: then it has moved, and stays.
func (d *Deploy) claimed(path string, r Ref) bool {
	_, yes := d.claimant(path, r)
	return yes
}

// claimant names another file that has the object. What a file asks for in
// this pass takes the place of what it is known to have made.
func (d *Deploy) claimant(path string, r Ref) (string, bool) {
	for other, refs := range d.wanted {
		if other != path && slices.ContainsFunc(refs, r.same) {
			return other, true
		}
	}
	for other, a := range d.known {
		if _, newer := d.wanted[other]; other != path && !newer && slices.ContainsFunc(a.Objects, r.same) {
			return other, true
		}
	}
	return "", false
}

// contested finds an object of a file that another file has, too.
func (d *Deploy) contested(path string, refs []Ref) (other string, r Ref, found bool) {
	for _, r := range refs {
		if other, yes := d.claimant(path, r); yes && d.onDisk[other] && d.known[other].State != Skipped {
			return other, r, true
		}
	}
	return "", Ref{}, false
}

// forget removes what deleted files had made.
func (d *Deploy) forget(ctx context.Context) (again bool, err error) {
	for path, a := range d.known {
		if d.onDisk[path] {
			continue
		}
		var gone []Ref
		if a.State != Skipped { // what was to be left alone stays
			gone = stale(a.Objects, nil, func(r Ref) bool { return d.claimed(path, r) })
		}
		err := d.removeAll(ctx, gone)
		if err == nil { // the Addon last: it says what there is to remove
			err = d.cluster.removeAddon(ctx, a.Name)
		}
		if err != nil {
			log.G(ctx).WithError(err).WithField("path", path).Warn("objects of a deleted manifest remain")
			again = true
			continue
		}
		log.G(ctx).WithField("path", path).WithField("pruned", len(gone)).Info("manifest removed")
		delete(d.known, path)
		delete(d.done, path)
	}
	return again, nil
}

// removeAll deletes in the reverse of the order in which things are made.
func (d *Deploy) removeAll(ctx context.Context, refs []Ref) error {
	var problems []error
	for _, group := range inPhases(refs, true) {
		problems = append(problems, each(group, func(i int) error { return d.cluster.remove(ctx, refs[i]) }))
	}
	return errors.Join(problems...)
}

// each runs do for every index side by side and joins the errors in order.
func each(indices []int, do func(i int) error) error {
	errs := make([]error, len(indices))
	var all sync.WaitGroup
	for n, i := range indices {
		all.Go(func() { errs[n] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}
