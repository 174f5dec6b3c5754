module cc-ci/tools/miniflux

go 1.25.0

require miniflux.app/v2 v2.2.14

tool miniflux.app/v2
