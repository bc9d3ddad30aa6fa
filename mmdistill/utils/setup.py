from __future__ import annotations

from importlib.metadata import entry_points

PLUGIN_GROUP = 'mmdistill.plugins'


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import all modules of mmdistill and MMPretrain, and all plug-ins.

    A plug-in is a Python module that registers its classes when imported. An
    installed package declares it in the entry-point group
    ``mmdistill.plugins``; a file is named in a config's ``custom_imports``.

    Args:
        init_default_scope: also make ``mmdistill`` the default scope, so that
            classes are found without a prefix outside a runner.
    Raises:
        ImportError: if a plug-in cannot be imported; it names the plug-in.
    """
    # Here, so that what needs none of it is imported at once.
    import mmpretrain.utils
    from mmengine.logging import print_log
    from mmengine.registry import DefaultScope

    from mmdistill import registry

    # Every registry knows the modules that fill it.
    for name in registry.__all__:
        getattr(registry, name).import_from_location()
    mmpretrain.utils.register_all_modules(init_default_scope=False)

    for plugin in entry_points(group=PLUGIN_GROUP):
        try:
            plugin.load()
        except Exception as error:
            raise ImportError(
                f'the plug-in {plugin.name!r} (entry point {plugin.value!r} '
                f'of group {PLUGIN_GROUP!r}) could not be imported: {error}; '
                'repair or uninstall the package that provides it'
            ) from error
        print_log(f'loaded plug-in {plugin.name}', logger='current', level=10)

    if init_default_scope:
        scope = DefaultScope.get_current_instance()
        if scope is None or scope.scope_name != 'mmdistill':
            DefaultScope.get_instance(
                f'mmdistill-{len(DefaultScope._instance_dict)}',
                scope_name='mmdistill',
            )
