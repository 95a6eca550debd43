"""The prompt selector `steady_box` for PerSAM-HQ video."""
