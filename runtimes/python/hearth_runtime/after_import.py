"""Something to do once a module has been imported, at no cost for who never imports it."""

import sys


class _Watcher:
    """First in sys.meta_path; finds nothing itself, but lets the finding be done and the loader tell us."""

    def __init__(self, reactions):
        self._reactions = reactions

    def find_spec(self, name, path=None, target=None):
        if name not in self._reactions:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if finder is not self and find else None
            if spec is not None:
                break
        else:
            return None
        if hasattr(spec.loader, "exec_module"):
            _react_after(spec.loader, self._reactions.pop(name))
        if not self._reactions:
            sys.meta_path.remove(self)
        return spec


def _react_after(loader, react):
    execute = loader.exec_module

    def exec_module(module):
        del loader.exec_module  # an importer of zip files serves many modules
        execute(module)
        react(module)

    loader.exec_module = exec_module


def watch(reactions):
    """reactions: by the module's name, a function that takes the module."""
    waiting = {}
    for name, react in reactions.items():
        if name in sys.modules:  # a .pth file was quicker
            react(sys.modules[name])
        else:
            waiting[name] = react
    if waiting:
        sys.meta_path.insert(0, _Watcher(waiting))
