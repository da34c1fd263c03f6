package dashboard

import "embed"

// assets is the page. uPlot 1.6.32 (MIT, Leon Sorokin, https://github.com/leeoniya/uPlot) is npm's uplot as it is published:
// dist/uPlot.iife.min.js and dist/uPlot.min.css; assets_test.go has their digests.
//
//go:embed assets
var assets embed.FS
