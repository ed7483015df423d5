"""Public benchmark of inpainting: fixed events, gaps and seeds; a table and a JSON file."""
