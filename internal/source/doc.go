// Package source answers which two commits are compared, and lays their files out for building.
//
// Its stance: a repository is input from strangers, and so is its .git folder. The git binary does the work,
// but behind one hardened call (git.go), and nearly always in a private git directory that borrows the
// repository's objects and has a configuration of its own (private.go). So no hook, filter, file-system
// monitor, alias, attribute or remote helper that the repository configures ever runs, `duet plan` touches
// nothing, and a shallow clone is deepened beside the clone, not in it.
//
// The laws:
//
//   - The base is the merge base, exactly, or there is none: a commit that is only near is never compared
//     against. The reason is always said.
//   - A tree is the commit's raw blobs: .gitattributes changes nothing. Executable bits are kept; symbolic
//     links that could leave the tree, submodules and Git LFS contents are left out, each with a warning.
//   - All git work comes before any code of the repository runs. Close ends it: after Close every method
//     refuses.
//
// What stays readable to a build is documented with Resolution.ExportOther.
package source
