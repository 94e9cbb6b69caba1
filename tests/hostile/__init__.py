"""Models that want to hurt whoever reads them, made by code: the gate refuses them, and a sandbox survives them."""
