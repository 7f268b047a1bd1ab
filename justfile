# A menu; every verb is a script, so just is not needed.

# list the verbs
default:
    @just --list

# formatting, lints, layers, shell: before every commit
check:
    scripts/check

# everything that continuous integration runs
test:
    scripts/test

# the same without virtual machines
fast:
    scripts/test --fast

# show provost at work in a virtual machine
demo:
    scripts/demo

# run one command in a virtual machine, or all kernel tests: just vm test --filter NAME
vm *ARGS:
    scripts/vm {{ARGS}}

# fuzz every parser, or the named ones, for some seconds each
fuzz *ARGS:
    scripts/fuzz {{ARGS}}

# write new golden snapshots; read the diff afterwards
snapshots:
    INSTA_UPDATE=always cargo test
    git diff --stat -- '*.snap'
